"""Numbers of a plan that change over training, as a function of the step alone.

The *step* of global batch b of epoch e is e * n + b, with n batches in an epoch; batches that round
an epoch up for many ranks count as its last one. A schedule in epochs is asked at step / n, one in
batches at the step. Nothing is remembered: a restored sampler goes on where the step says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from numbers import Real
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from viscy_data.checks import brief, is_finite_number, plain_number
from viscy_data.composition.mix import NATURAL, Mix
from viscy_data.errors import InvalidInputError

Floats = NDArray[np.float64]
Unit = Literal["epochs", "batches"]
Shape = Literal["linear", "cosine"]

MOST_POSITION: Final = 1e12
"""Largest position: of more epochs or batches than anyone composes."""
STAGES: Final = 64
"""Shares of values move from point to point in so many equal stages, each of which is rounded alike."""


@dataclass(frozen=True)
class Schedule:
    """A number that moves from point to point, and stays what it is before the first and after the last.

    Parameters
    ----------
    points
        Mapping from a position, at least 0, to the value there: a number, or shares. Shares are what
        the field takes: a mapping by value (the same names at all points), None or "natural". They are
        normalised to sum 1 before they are mixed and move in `STAGES` equal stages.
    unit
        Whether positions count epochs (or parts of them) or global batches.
    shape
        Straight from point to point, or half a cosine wave that sets out and arrives level.

    Raises
    ------
    InvalidInputError
        No points, positions that are negative or not finite, values that are neither finite numbers
        nor shares, or of two kinds.

    Examples
    --------
    >>> narrowing = Schedule({0: 8.0, 10: 2.0})
    >>> [narrowing.at(epoch) for epoch in (0, 5, 10, 99)]
    [8.0, 5.0, 2.0, 2.0]
    """

    points: Mapping[float, Any] | Sequence[tuple[float, Any]]
    unit: Unit = field(default="epochs", kw_only=True)
    shape: Shape = field(default="linear", kw_only=True)

    def __post_init__(self) -> None:
        for name, allowed in (("unit", get_args(Unit)), ("shape", get_args(Shape))):
            if getattr(self, name) not in allowed:
                choices = ", ".join(map(repr, allowed))
                raise InvalidInputError(f"Schedule.{name}={getattr(self, name)!r} is none of {choices}.")
        object.__setattr__(self, "points", _checked(self.points))

    def at(self, position: float) -> Any:
        """Return the value at a position, in the schedule's unit: a float, fractions by name, or a `Mix`."""
        if not self.is_of_shares:
            return float(self.numbers([position])[0])
        place, stage = divmod(int(self.stages([position])[0]), STAGES)
        part = Fraction(stage, STAGES)
        before, after = self.values[place : place + 2]
        if _is_flat(before) and _is_flat(after):
            return {name: before[name] + (after[name] - before[name]) * part for name in before}
        return Mix(((before, float(1 - part)), (after, float(part)))) if part else before

    def numbers(self, positions: ArrayLike) -> Floats:
        """Return the numbers at many positions."""
        place, mixed = self._between(np.asarray(positions, dtype=np.float64))
        values = np.array(self.values, dtype=np.float64)
        found: Floats = values[place] + (values[place + 1] - values[place]) * mixed
        return found

    def stages(self, positions: ArrayLike) -> NDArray[np.int64]:
        """Return a number that is the same where shares are the same."""
        place, mixed = self._between(np.asarray(positions, dtype=np.float64))
        return place * STAGES + np.rint(mixed * STAGES).astype(np.int64)

    def position(self, step: ArrayLike, batches: int) -> Floats:
        """Return where steps lie in the schedule's unit, with ``batches`` in an epoch."""
        found = np.asarray(step, dtype=np.float64)
        return found / batches if self.unit == "epochs" else found

    @property
    def is_of_shares(self) -> bool:
        """Whether the values are shares rather than numbers."""
        return not _is_number(self.values[0])

    @property
    def values(self) -> list[Any]:
        """The values at the points, the last one twice; mappings from value to share are normalised."""
        values = [_normalised(value) for _, value in self.pairs]
        return [*values, values[-1]]

    @property
    def positions(self) -> list[float]:
        """The positions of the points."""
        return [position for position, _ in self.pairs]

    @property
    def pairs(self) -> tuple[tuple[float, Any], ...]:
        """Positions and values of the points, as they were given."""
        return tuple(self.points)  # type: ignore[arg-type]  # what `_checked` made of it

    def _between(self, positions: Floats) -> tuple[NDArray[np.int64], Floats]:
        """Return the last point before each position and how far the next one is mixed in, 0 to 1."""
        point = np.array(self.positions)
        place = np.clip(np.searchsorted(point, positions, side="right") - 1, 0, None)
        gap = np.diff(point, append=np.inf)[place]
        part = np.clip((positions - point[place]) / gap, 0, 1)
        return place, _half_wave(part) if self.shape == "cosine" else part


def _half_wave(part: Floats) -> Floats:
    """Return how far half a cosine wave has come, in units of 2**-40.

    The last bit of a cosine depends on the processor, and half of 33 anchors would be 16 on one and 17 on
    another. Rounded, halves and quarters are what they are everywhere.
    """
    mixed: Floats = np.rint((1 - np.cos(np.pi * part)) * 2.0**39) * 2.0**-40
    return mixed


def numbers_at(value: float | Schedule, step: NDArray[np.int64], batches: int) -> Floats:
    """Return a number of a plan at each step, with ``batches`` in an epoch."""
    if isinstance(value, Schedule):
        return value.numbers(value.position(step, batches))
    return np.full(step.shape, float(value))


def _checked(points: object) -> tuple[tuple[float, Any], ...]:
    try:
        pairs = list(points.items()) if isinstance(points, Mapping) else [(p, v) for p, v in points]  # type: ignore[attr-defined]  # refused below
    except (TypeError, ValueError):
        pairs = []
    if not pairs:
        raise InvalidInputError(f"Schedule.points={points!r} is not a mapping from positions to values.")
    for position, _ in pairs:
        if not is_finite_number(position) or not 0 <= position <= MOST_POSITION:
            raise InvalidInputError(
                f"Schedule.points holds the position {brief(position)}; give numbers >= 0, up to "
                f"{MOST_POSITION:g}."
            )
    if len({float(position) for position, _ in pairs}) < len(pairs):
        raise InvalidInputError(f"Schedule.points={points!r} holds a position twice.")
    _check_values(pairs)
    plain = [
        (float(p), float(v) if _is_number(v) else dict(v) if isinstance(v, Mapping) else v) for p, v in pairs
    ]
    return tuple(sorted(plain, key=lambda pair: pair[0]))


def _check_values(pairs: Sequence[tuple[Any, Any]]) -> None:
    for position, value in pairs:
        _check_value(position, value)
    values = [value for _, value in pairs]
    if len({_is_number(value) for value in values}) > 1:
        raise InvalidInputError(f"Schedule.points={dict(pairs)!r} mixes numbers and shares; give one kind.")
    names = [set(value) for value in values if _is_flat(value)]
    if any(one != names[0] for one in names):
        odd = sorted(map(str, set.union(*names) - set.intersection(*names)))
        raise InvalidInputError(f"Schedule.points: {odd} are not named at every point (0 leaves one out).")


def _check_value(position: Any, value: Any) -> None:
    """Refuse what is no number and no shares; the shares of levels are left to the field that has them."""
    if value is None or value == NATURAL or (isinstance(value, Mapping) and value and not _is_flat(value)):
        return
    parts = value.values() if isinstance(value, Mapping) else [value]
    if not all(is_finite_number(part) for part in parts):
        raise InvalidInputError(f"Schedule.points at {position!r}={brief(value)} is not of finite numbers.")
    if isinstance(value, Mapping) and (min(parts, default=0) < 0 or not any(parts)):
        raise InvalidInputError(f"Schedule.points at {position!r}={value!r} is not of shares >= 0.")


def _normalised(value: Any) -> Any:
    if not _is_flat(value):
        return value
    # Exact: a batch of 17 by shares of 1/17 takes one of each, as with a ratio that does not move.
    exact = {name: Fraction(plain_number(number)) for name, number in value.items()}
    total = sum(exact.values())
    return {name: number / total for name, number in exact.items()}


def _is_flat(value: object) -> bool:
    """Return whether a value maps names to numbers, rather than levels to such mappings."""
    return isinstance(value, Mapping) and not any(isinstance(part, Mapping) for part in value.values())


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
