"""Statistics and focus planes that other programs left in a store's attributes, read and checked.

Pipelines that prepared a store for training often wrote into it what takes long to compute: the statistics
of each channel, and the slice in focus. Both are in the attributes of the plate and of its positions::

    normalization: {CHANNEL: {dataset_statistics: STATS, fov_statistics: STATS,
                              timepoint_statistics: {"0": STATS}}}
    focus_slice:   {CHANNEL: {dataset_statistics: {z_focus_mean: Z}, fov_statistics: {z_focus_mean: Z},
                              per_timepoint: {"0": Z}}}

with STATS of the names in ``STATISTICS``. What a position says of a channel counts; where it does not say
what holds for the whole data set, the plate does. Nothing here decides what the values are used for: callers
ask for one field of view, and get what is there for the channels of their experiment.

Values come from elsewhere, and a wrong one would spoil every patch without a word: a number that is not
finite, a deviation below 0, a smallest value above the largest, a time outside the movie or a slice outside
the stack is refused, with the place where it is written. A value that is null or absent is not known.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import AllowInfNan, BaseModel, ConfigDict, Field, Strict, ValidationError, model_validator

from viscy_data.errors import StoreError
from viscy_data.images.ngff import read_attributes
from viscy_data.tables.experiment import Experiment, FovInfo

STATISTICS: Final = ("mean", "std", "median", "iqr", "min", "max", "p1", "p5", "p95", "p99")
"""Names of statistics: moments, quartiles' distance, extremes and percentiles of a channel's pixels."""

NORMALIZATION: Final = "normalization"
FOCUS: Final = "focus_slice"

_ASCENDING: Final = ("min", "p1", "p5", "median", "p95", "p99", "max")
# Percentiles of 32-bit floats may differ in the last bit from extremes of 64 bits.
_TOLERANCE: Final = 1e-6


@dataclass(frozen=True)
class StoredStatistics:
    """What a store says of the pixels of one channel in one field of view.

    Attributes
    ----------
    dataset, fov
        Statistics of the whole data set and of this field of view, by their names in ``STATISTICS``; empty:
        the store does not say.
    frames
        Those of single frames, by frame.
    """

    dataset: Mapping[str, float]
    fov: Mapping[str, float]
    frames: Mapping[int, Mapping[str, float]]


@dataclass(frozen=True)
class StoredFocus:
    """Where a store says that one channel is in focus in one field of view.

    Attributes
    ----------
    dataset, fov
        Mean slice in focus, from 0, of the whole data set and of this field of view; None: the store does not
        say.
    frames
        The slice in focus of single frames, by frame.
    """

    dataset: float | None
    fov: float | None
    frames: Mapping[int, float]

    def at(self, t: int) -> float | None:
        """Return the slice of a frame: its own, else that of the field of view, else of the data set.

        Examples
        --------
        >>> focus = StoredFocus(dataset=None, fov=4.5, frames={0: 4.0})
        >>> focus.at(0), focus.at(1)
        (4.0, 4.5)
        """
        return self.frames.get(t, self.dataset if self.fov is None else self.fov)


def read_stored_statistics(experiment: Experiment, info: FovInfo) -> dict[str, StoredStatistics]:
    """Read the statistics that a store holds of one field of view.

    Parameters
    ----------
    experiment
        Its ``channels`` are asked for.
    info
        A field of view of its store.

    Returns
    -------
    dict
        By channel; one of which the store holds no statistics is not among them.

    Raises
    ------
    StoreError
        Where the attributes cannot be read, or hold a value that is not possible.
    """
    found = {}
    for channel, own, plate in _entries(experiment, info, NORMALIZATION):
        where = _where(experiment, info, NORMALIZATION, channel)
        said, whole = (_parse(_Normalization, one, where) for one in (own, plate))
        dataset = said.dataset_statistics or whole.dataset_statistics
        frames = _in_movie(said.timepoint_statistics or {}, info, f"{where}.timepoint_statistics")
        if dataset or said.fov_statistics or frames:
            found[channel] = StoredStatistics(
                _values(dataset),
                _values(said.fov_statistics),
                {t: _values(stats) for t, stats in frames.items()},
            )
    return found


def read_stored_focus(experiment: Experiment, info: FovInfo) -> dict[str, StoredFocus]:
    """Read the slices in focus that a store holds of one field of view; see `read_stored_statistics`."""
    found = {}
    for channel, own, plate in _entries(experiment, info, FOCUS):
        where = _where(experiment, info, FOCUS, channel)
        said, whole = (_parse(_FocusSlice, one, where) for one in (own, plate))
        dataset = (said.dataset_statistics or whole.dataset_statistics or _Mean()).z_focus_mean
        fov = (said.fov_statistics or _Mean()).z_focus_mean
        frames = _in_movie(said.per_timepoint or {}, info, f"{where}.per_timepoint")
        depth = info.shape[2]
        stated = {"dataset_statistics": dataset, "fov_statistics": fov}
        stated |= {f"per_timepoint.{t}": z for t, z in frames.items()}
        for name, z in stated.items():
            if z is not None and not 0 <= z <= depth - 1:
                raise StoreError(
                    f"{where}.{name}={z:g}: a slice of the stack, 0 .. {depth - 1}, is needed; {_REMEDY}"
                )
        if dataset is not None or fov is not None or frames:
            found[channel] = StoredFocus(dataset, fov, frames)
    return found


_REMEDY: Final = "write the attributes anew, or do not ask for what the store says"

type _Number = Annotated[float, Strict(), AllowInfNan(False)]
type _Spread = Annotated[float, Strict(), AllowInfNan(False), Field(ge=0)]


class _Read(BaseModel):
    """What is needed of an attribute; all else is passed over."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)


class _Stats(_Read):
    mean: _Number | None = None
    std: _Spread | None = None
    median: _Number | None = None
    iqr: _Spread | None = None
    min: _Number | None = None
    max: _Number | None = None
    p1: _Number | None = None
    p5: _Number | None = None
    p95: _Number | None = None
    p99: _Number | None = None

    @model_validator(mode="after")
    def _ascend(self) -> Self:
        known = [(name, value) for name in _ASCENDING if (value := getattr(self, name)) is not None]
        for (low, least), (high, most) in pairwise(known):
            if least > most + _TOLERANCE * max(abs(least), abs(most)):
                raise ValueError(f"{low}={least:g} is above {high}={most:g}")
        if self.min is not None and self.max is not None:
            slack = _TOLERANCE * max(abs(self.min), abs(self.max))
            if self.mean is not None and not self.min - slack <= self.mean <= self.max + slack:
                raise ValueError(f"mean={self.mean:g} is not between min={self.min:g} and max={self.max:g}")
            for name, value in (("std", self.std), ("iqr", self.iqr)):
                if value is not None and value > self.max - self.min + slack:
                    raise ValueError(
                        f"{name}={value:g} is wider than from min={self.min:g} to max={self.max:g}"
                    )
        return self


class _Normalization(_Read):
    dataset_statistics: _Stats | None = None
    fov_statistics: _Stats | None = None
    timepoint_statistics: dict[str, _Stats] | None = None


class _Mean(_Read):
    z_focus_mean: _Number | None = None


class _FocusSlice(_Read):
    dataset_statistics: _Mean | None = None
    fov_statistics: _Mean | None = None
    per_timepoint: dict[str, _Number] | None = None


def _where(experiment: Experiment, info: FovInfo, key: str, channel: str) -> str:
    return f"experiment={experiment.name!r} fov={info.fov!r}: attribute {key}.{channel}"


def _entries(experiment: Experiment, info: FovInfo, key: str) -> Iterable[tuple[str, Any, Any]]:
    """Yield each channel with what the position and the plate hold of it under a key; {} where nothing."""
    plate, position = experiment.data_path, _position(experiment, info)
    own, whole = (_attribute(experiment, info, group, key) for group in (position, plate))
    for channel in experiment.channels:
        if channel in own or channel in whole:
            yield channel, own.get(channel, {}), whole.get(channel, {})


def _position(experiment: Experiment, info: FovInfo) -> Path:
    return experiment.data_path / info.fov if info.well else experiment.data_path


def _attribute(experiment: Experiment, info: FovInfo, group: Path, key: str) -> Mapping[str, Any]:
    where = f"experiment={experiment.name!r} fov={info.fov!r}"
    try:
        held = read_attributes(group).get(key)
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"{where}: the attributes of {group} cannot be read: {error}") from error
    if held is None:
        return {}
    if not isinstance(held, dict):
        raise StoreError(f"{where}: attribute {key} is not a mapping of channels; {_REMEDY}")
    return held


def _parse[M: _Read](model: type[M], held: object, where: str) -> M:
    try:
        return model.model_validate(held)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, (where, *first["loc"])))
        why = first["msg"].removeprefix("Value error, ")
        raise StoreError(f"{place}={repr(first['input'])[:80]}: {why}; {_REMEDY}") from None


def _in_movie[V](frames: Mapping[str, V], info: FovInfo, where: str) -> dict[int, V]:
    """Return values by frame, each of which is one of the movie."""
    found: dict[int, V] = {}
    for text, value in frames.items():
        t = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1
        if not 0 <= t < info.shape[0] or t in found:
            raise StoreError(
                f"{where}: t={text[:20]!r} is not a frame of the movie, 0 .. {info.shape[0] - 1}, named "
                f"once; {_REMEDY}"
            )
        found[t] = value
    return found


def _values(stats: _Stats | None) -> dict[str, float]:
    return (
        {} if stats is None else {name: v for name in STATISTICS if (v := getattr(stats, name)) is not None}
    )
