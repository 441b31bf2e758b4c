"""How intensities become numbers that a model sees: a choice for each channel.

A camera counts photons on an arbitrary scale, and what to do about it differs: a phase image varies about its
mean, a sparse fluorescence image is nearly all background, a lamp that ages wants each frame on its own. So
each channel has a *method* (what is subtracted and divided by) and a *level* (the pixels that the numbers are
taken from). Values are frozen and plain in JSON: an experiments file states them, a table keeps them, and a
model that knows how it was trained holds the same ones.

Every method is affine, ``(x - centre) / spread``; values outside the two percentiles go below 0 and above 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal, Self, get_args

from viscy_data.checks import is_finite_number
from viscy_data.errors import InvalidInputError, suggest

Method = Literal["mean_std", "median_iqr", "percentiles", "none"]
Level = Literal["field", "frame", "experiment"]

PERCENTILES: Final = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 95.0, 98.0, 99.0, 99.5, 99.9, 100.0)
"""Percentiles that statistics hold, beside the quartiles."""

_USUAL: Final = (1.0, 99.0)


@dataclass(frozen=True)
class Normalization:
    """How the values of one channel are normalised.

    Attributes
    ----------
    method
        ``mean_std``: (x - mean) / standard deviation; ``median_iqr``: (x - median) / interquartile range;
        ``percentiles``: two percentiles become 0 and 1; ``none``: values as stored.
    level
        Pixels that the numbers are of: all frames of the ``field`` of view, its own ``frame``, or the whole
        ``experiment``.
    percentiles
        The two, of ``PERCENTILES``; only with that method, which takes (1, 99) where they are None.

    Raises
    ------
    InvalidInputError
        Where a value is not allowed.

    Examples
    --------
    >>> Normalization("percentiles", "frame")
    Normalization(method='percentiles', level='frame', percentiles=(1.0, 99.0))
    >>> Normalization.parse("median_iqr") == Normalization.parse({"method": "median_iqr"})
    True
    """

    method: Method = "mean_std"
    level: Level = "field"
    percentiles: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name, allowed in (("method", get_args(Method)), ("level", get_args(Level))):
            value = getattr(self, name)
            if value not in allowed:
                hint = suggest(value, allowed) if isinstance(value, str) else ""
                raise InvalidInputError(
                    f"normalization {name}={value!r}: one of {', '.join(allowed)} is needed.{hint}"
                )
        given = self.percentiles
        if self.method != "percentiles":
            if given is not None:
                raise InvalidInputError(
                    f"normalization percentiles={given!r}: only method='percentiles' takes them; leave them "
                    "out, or set that method."
                )
            return
        object.__setattr__(self, "percentiles", _percentiles(_USUAL if given is None else given))

    @classmethod
    def parse(cls, value: object) -> Self:
        """Return the choice that a method's name, or a mapping of our fields, says.

        Raises
        ------
        InvalidInputError
            Where it says none.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls(method=value)  # type: ignore[arg-type]  # checked where it is built
        known = [one.name for one in fields(cls)]
        if isinstance(value, Mapping) and value and all(isinstance(key, str) for key in value):
            unknown = [key for key in value if key not in known]
            if not unknown:
                return cls(**value)
            raise InvalidInputError(
                f"normalization: unknown key {unknown[0]!r}; allowed: {', '.join(known)}."
                f"{suggest(unknown[0], known)}"
            )
        raise InvalidInputError(
            f"normalization={value!r}: a method ({', '.join(get_args(Method))}), or a mapping with "
            f"{', '.join(known)}, is needed."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values, which :meth:`parse` reads."""
        held = asdict(self)
        return held | {"percentiles": None if self.percentiles is None else list(self.percentiles)}


def _percentiles(given: object) -> tuple[float, float]:
    allowed = ", ".join(f"{one:g}" for one in PERCENTILES)
    if isinstance(given, list | tuple) and len(given) == 2:
        numbers = [float(one) for one in given if is_finite_number(one)]
        if len(numbers) == 2 and numbers[0] < numbers[1] and all(one in PERCENTILES for one in numbers):
            return (numbers[0], numbers[1])
    raise InvalidInputError(
        f"normalization percentiles={given!r}: two of {allowed} are needed, the lower one first; statistics "
        "hold no others."
    )


type NormalizationChoice = Normalization | str | Mapping[str, Any] | Sequence[Any]
"""One for all channels, a mapping from their names, or one for each in order; plain or `Normalization`."""


def normalizations_of(
    choice: NormalizationChoice | None, channels: Sequence[str], others: Sequence[str] = ()
) -> tuple[Normalization, ...]:
    """Return the choice for each of ``channels``.

    Parameters
    ----------
    choice
        None: mean and standard deviation of the field of view. A mapping from names need not name every
        channel; those it leaves out are normalised so, too. A sequence has one for each, in order.
    channels
        Names, in order.
    others
        Names that a mapping may hold beside them, as those of other experiments.

    Raises
    ------
    InvalidInputError
        Where a choice is not allowed, or a name is not that of a channel.

    Examples
    --------
    >>> [one.method for one in normalizations_of({"RFP": "median_iqr"}, ["Phase", "RFP"])]
    ['mean_std', 'median_iqr']
    """
    if choice is None:
        choice = Normalization()
    if isinstance(choice, Mapping) and not set(choice) <= {one.name for one in fields(Normalization)}:
        known = [*channels, *(name for name in others if name not in channels)]
        for name in choice:
            if name not in known:
                raise InvalidInputError(
                    f"normalization: {name!r} is not one of the channels, which are {', '.join(known)}."
                    f"{suggest(str(name), known)}"
                )
        return tuple(Normalization.parse(choice.get(name, Normalization())) for name in channels)
    if isinstance(choice, list | tuple):
        if len(choice) != len(channels):
            raise InvalidInputError(
                f"normalization={choice!r}: {len(choice)} are given for {len(channels)} channels "
                f"({', '.join(channels)}); give one for each, or name them."
            )
        return tuple(map(Normalization.parse, choice))
    return (Normalization.parse(choice),) * len(channels)


def disagreements(
    experiments: Mapping[str, tuple[Sequence[str], Sequence[Normalization]]],
) -> list[str]:
    """Return a line for each place of a channel that two experiments normalise differently.

    Position i means the same in every experiment, and a model that sees it knows one way. ``experiments``
    holds channels and choices by name, equally many in each.

    Examples
    --------
    >>> disagreements({"a": (["P"], [Normalization()]), "b": (["Q"], [Normalization("none")])})
    ["normalization: 'P' of 'a' and 'Q' of 'b' are one channel, and need one method and level"]
    """
    if not experiments:
        return []
    (first, (channels, chosen)), *others = experiments.items()
    return [
        f"normalization: {channels[place]!r} of {first!r} and {names[place]!r} of {name!r} are one channel, "
        "and need one method and level"
        for place in range(len(channels))
        for name, (names, own) in others
        if own[place] != chosen[place]
    ][:12]


def name_disagreements(
    experiments: Mapping[str, tuple[Sequence[str], Sequence[Normalization]]],
) -> list[str]:
    """Return a line for each channel's name that two experiments normalise differently.

    Where a row shows one channel of a cell, a model knows channels by their names.

    Examples
    --------
    >>> name_disagreements({"a": (["P"], [Normalization()]), "b": (["Q", "P"], [Normalization("none")] * 2)})
    ["normalization: 'P' of 'a' and of 'b' is one channel, and needs one method and level"]
    """
    problems: list[str] = []
    first: dict[str, tuple[str, Normalization]] = {}
    for experiment, (channels, chosen) in experiments.items():
        for name, choice in zip(channels, chosen, strict=True):
            other, known = first.setdefault(name, (experiment, choice))
            if known != choice:
                problems.append(
                    f"normalization: {name!r} of {other!r} and of {experiment!r} is one channel, and needs "
                    "one method and level"
                )
    return problems[:12]
