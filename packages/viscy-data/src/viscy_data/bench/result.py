"""What a bench found: rates, gains, and which of them are more than noise."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import mean
from typing import Any, Final

from viscy_data.bench.measure import Rate
from viscy_data.bench.settings import PRESENT, Setting
from viscy_data.optimize.estimate import Estimate

LEAST_NOISE: Final = 0.1


@dataclass(frozen=True)
class Tried:
    """One change.

    Attributes
    ----------
    setting, rate
        What was changed, and how fast batches came.
    beside
        Patches/s of the present way, the mean of just before and just after.
    """

    setting: Setting
    rate: Rate
    beside: float

    @property
    def gain(self) -> float:
        """How much faster than the present way beside it."""
        return self.rate.per_second / self.beside


@dataclass(frozen=True)
class Copied:
    """What `viscy-data optimize` would bring, from a sample of one store.

    Attributes
    ----------
    store
        The sampled store, which most anchors are of.
    estimate
        What reading the same patches of a few frames gave, from the store and from the copy.
    """

    store: str
    estimate: Estimate

    @property
    def gain(self) -> float:
        """Of the copy over the store."""
        return self.estimate.after / self.estimate.before


@dataclass(frozen=True)
class Subject:
    """What was measured.

    Attributes
    ----------
    experiments, anchors, batch_size
        Names; valid anchors; anchors of a batch.
    patch, chunk
        Slices, rows and columns of a patch; T, C, Z, Y, X of a chunk of the store with most anchors.
    """

    experiments: tuple[str, ...]
    anchors: int
    batch_size: int
    patch: tuple[int, int, int]
    chunk: tuple[int, ...]


@dataclass(frozen=True)
class Advice:
    """A change that helps more than noise: its name, gain, patches/s and what to do."""

    name: str
    gain: float
    per_second: float
    text: str


@dataclass(frozen=True)
class Bench:
    """What a bench found.

    Attributes
    ----------
    subject
        What was measured.
    present
        The present way, measured before the first change and after each.
    tried
        Every change that could be tried.
    refused
        Why others could not be, by name.
    copied
        What a rewritten store would bring; None: not measured.
    seconds, step
        Read for under each setting; seconds of a training step put between batches.
    from_disk
        Share of the bytes read by this process that the disk gave, not memory; None: not known.
    """

    subject: Subject
    present: tuple[Rate, ...]
    tried: tuple[Tried, ...]
    refused: dict[str, str]
    copied: Copied | None
    seconds: float
    step: float
    from_disk: float | None

    @property
    def per_second(self) -> float:
        """Mean patches/s of the present way."""
        return mean(one.per_second for one in self.present)

    @property
    def noise(self) -> float:
        """How far successive rates of the present way lie apart, relative to their mean; at least a tenth."""
        rates = [one.per_second for one in self.present]
        apart = [abs(b - a) for a, b in pairwise(rates)] or [0.0]
        return max(LEAST_NOISE, mean(apart) / mean(rates))

    @property
    def expected(self) -> float:
        """Patches/s of the present way from a rewritten store, as the sample lets expect."""
        return self.per_second * (1.0 if self.copied is None else self.copied.gain)

    def advice(self) -> list[Advice]:
        """Return what helps more than noise, the most helpful first."""
        found = [
            Advice(one.setting.name, one.gain, one.rate.per_second, one.setting.advice) for one in self.tried
        ]
        if self.copied is not None:
            found.append(Advice(OPTIMIZED, self.copied.gain, self.expected, _how(self.copied)))
        return sorted((one for one in found if one.gain > 1 + self.noise), key=lambda one: -one.gain)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as JSON takes them."""
        rates = [_plain(PRESENT, one, None) for one in self.present]
        tried = [_plain(one.setting.name, one.rate, one.gain) for one in self.tried]
        return {
            "subject": asdict(self.subject),
            "patches_per_second": self.per_second,
            "noise": self.noise,
            "present": rates,
            "tried": tried,
            "refused": self.refused,
            "optimize": None if self.copied is None else {**asdict(self.copied), "gain": self.copied.gain},
            "advice": [asdict(one) for one in self.advice()],
            "seconds": self.seconds,
            "step": self.step,
            "from_disk": self.from_disk,
        }


OPTIMIZED: Final = "optimised stores"


def rate_text(per_second: float) -> str:
    """Return patches/s with three figures that count.

    Examples
    --------
    >>> rate_text(9.234), rate_text(1234.5)
    ('9.23', '1,234')
    """
    return f"{per_second:,.0f}" if per_second >= 100 else f"{per_second:.3g}"


def compared(setting: Setting, rate: Rate, beside: Sequence[Rate]) -> Tried:
    """Return a change beside the present way's rates just before and after it."""
    return Tried(setting, rate, mean(one.per_second for one in beside))


def _how(copied: Copied) -> str:
    cost = copied.estimate
    return (
        f"viscy-data optimize {copied.store} -o ...: about {cost.bytes / 1e9:.2f} GB of disk and "
        f"{cost.seconds / 60:.1f} min for this store. Reading alone: {rate_text(cost.before)} patches/s from "
        f"the store, {rate_text(cost.after)} from a copy of {cost.frames} of its frames"
    )


def _plain(name: str, rate: Rate, gain: float | None) -> dict[str, Any]:
    speeds = {"patches_per_second": rate.per_second, "wait_per_batch": rate.wait_per_batch}
    return {"name": name, "gain": gain, **speeds, **asdict(rate)}
