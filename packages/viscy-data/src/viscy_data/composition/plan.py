"""What a batch shall hold: frozen values that check themselves.

A `BatchPlan` has one optional value per axis; None switches an axis off. *group*: what the anchors
of a batch are restricted to (`Grouping`). *stratum*: what is balanced inside a batch (`Balance`).
*focal window*: the anchors near one time of the batch's group (`Focus`). *leak*: the anchors of a
batch that come from other groups.

A plan knows no table. What can be wrong with a plan alone is refused here; what can be wrong with
a plan and a table together is refused where the two meet.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from math import isfinite
from numbers import Integral, Real
from typing import Any, Literal, get_args

from viscy_data.composition.schedule import Schedule
from viscy_data.errors import InvalidInputError, suggest

FocalTimes = Literal["distinct", "anchors"]
Kernel = Literal["box", "gaussian"]
By = str | Sequence[str]
Ratios = Mapping[Any, float]
Weights = Ratios | Mapping[str, Ratios]


def check_fraction(name: str, value: object, *, below_one: bool = False) -> float:
    """Return ``value`` as a float in [0, 1], or in [0, 1) with ``below_one``."""
    number = _number(name, value)
    if not (0 <= number < 1 if below_one else 0 <= number <= 1):
        allowed = "[0, 1)" if below_one else "[0, 1]"
        raise InvalidInputError(f"{name}={value!r} is outside {allowed}; give a fraction of the batch.")
    return number


def check_leak(name: str, value: object) -> float:
    """Return ``value`` as a float in [0, 1)."""
    return check_fraction(name, value, below_one=True)


def check_window(name: str, value: object) -> float:
    """Return ``value`` as a finite number of hours that is not negative."""
    number = _number(name, value)
    if not isfinite(number) or number < 0:
        raise InvalidInputError(f"{name}={value!r} is not a finite number of hours >= 0.")
    return number


def check_ratios(name: str, value: object) -> Ratios | None:
    """Return a copy of ``value``: finite numbers >= 0, not all of them zero."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"{name}={value!r} is not a mapping from a value of the column to a number.")
    for key in value:
        number = _number(f"{name}[{key!r}]", value[key])
        if not isfinite(number) or number < 0:
            raise InvalidInputError(f"{name}[{key!r}]={number!r} is not a finite number >= 0.")
    if not any(value.values()):
        raise InvalidInputError(f"{name}={dict(value)!r} is zero for every value; give at least one above 0.")
    return {key: _plain_number(value[key]) for key in value}


def check_weights(name: str, value: object, columns: Sequence[str]) -> Weights | None:
    """Return a copy of weights by group, or of a mapping from some of ``columns`` to weights by value."""
    if not isinstance(value, Mapping) or not any(isinstance(part, Mapping) for part in value.values()):
        return check_ratios(name, value)
    unknown = [level for level in value if level not in columns]
    if unknown:
        hints = "".join(suggest(str(level), columns) for level in unknown)
        raise InvalidInputError(f"{name} names {unknown}, but the levels are {list(columns)}.{hints}")
    found = {level: check_ratios(f"{name}[{level!r}]", part) for level, part in value.items()}
    absent = [level for level, part in found.items() if part is None]
    if absent:
        raise InvalidInputError(f"{name} gives None for {absent}; leave a level out to split it by anchors.")
    return {level: part for level, part in found.items() if part is not None}


def check_integer(name: str, value: object, least: int) -> int:
    """Return ``value`` as an int of at least ``least``; a bool is none."""
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise InvalidInputError(f"{name}={value!r} is not an integer >= {least}.")
    return int(value)


def check_flag(name: str, value: object) -> bool:
    """Return ``value`` where it is True or False."""
    if not isinstance(value, bool):
        raise InvalidInputError(f"{name}={value!r} is neither True nor False.")
    return value


def check_choice(name: str, value: object, allowed: Sequence[str]) -> str:
    """Return ``value`` where it is one of the texts ``allowed``."""
    if not isinstance(value, str) or value not in allowed:
        raise InvalidInputError(
            f"{name}={value!r} is none of {', '.join(map(repr, allowed))}.{suggest(str(value), allowed)}"
        )
    return value


def check_scheduled[T](name: str, value: object, check: Callable[[str, object], T]) -> T | Schedule:
    """Return a checked value, or a schedule each of whose values ``check`` takes."""
    if not isinstance(value, Schedule):
        return check(name, value)
    for position, one in zip(value.positions, value.values[:-1], strict=True):
        check(f"{name} at {position:g} {value.unit}", one)
    return value


def check_columns(name: str, value: object) -> tuple[str, ...]:
    """Return one or several column names as a tuple."""
    columns = (value,) if isinstance(value, str) or not isinstance(value, Sequence) else tuple(value)
    names = tuple(dict.fromkeys(column for column in columns if isinstance(column, str)))
    if not names or len(names) < len(columns):
        raise InvalidInputError(f"{name}={value!r} is not a column name or several different ones.")
    return names


@dataclass(frozen=True)
class Grouping:
    """All anchors of a batch, but for the leak, come from one group.

    Parameters
    ----------
    by
        Column, or columns whose combinations that occur are the groups.
    weights
        Relative number of batches by group (a tuple of values where ``by`` has several columns);
        None gives each group batches in proportion to its anchors. Or by level: a mapping from
        columns of ``by`` to weights by value. The first column's values then share the batches in
        proportion to its weights, each value's part goes on to the values of the second column that
        occur with it, in proportion to that column's weights, and so on; a column that is not named
        splits in proportion to anchors. Only groups that can be drawn, none of whose weights is 0,
        count at any level.
    leak
        Fraction of a batch that comes from other groups, in [0, 1). Or a `Schedule`.

    Examples
    --------
    >>> Grouping("experiment", leak=0.1).by
    ('experiment',)
    >>> by_level = Grouping(["marker", "experiment"], weights={"marker": {"TOMM20": 1, "SEC61B": 1}})
    >>> by_level.by
    ('marker', 'experiment')
    """

    by: By
    weights: Weights | None = field(default=None, kw_only=True)
    leak: float | Schedule = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        by = check_columns("Grouping.by", self.by)
        _set(self, "by", by)
        _set(self, "weights", check_weights("Grouping.weights", self.weights, by))
        _set(self, "leak", check_scheduled("Grouping.leak", self.leak, check_leak))


@dataclass(frozen=True)
class Balance:
    """The strata of a batch stand in a fixed ratio.

    Parameters
    ----------
    by
        Column, or columns whose combinations that occur are the strata.
    ratio
        Relative share by stratum; None gives all strata of a group the same. 0 leaves one out. Or a
        `Schedule` of shares.

    Examples
    --------
    >>> dict(Balance("condition", ratio={"infected": 1, "uninfected": 3}).ratio)
    {'infected': 1, 'uninfected': 3}
    """

    by: By
    ratio: Ratios | Schedule | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _set(self, "by", check_columns("Balance.by", self.by))
        _set(self, "ratio", check_scheduled("Balance.ratio", self.ratio, check_ratios))


@dataclass(frozen=True)
class Focus:
    """Most anchors of a batch sit around one time of the batch's group.

    Parameters
    ----------
    by
        Column of the clock, in hours: after infection, since the last division, or any other number.
    window_hours
        Half width of the focal window, in hours; of a Gaussian its standard deviation. Or a `Schedule`.
    global_fraction
        Fraction of a batch that comes from outside the window (with a Gaussian, from what it left of
        each cell); 1 means no window at all. Or a `Schedule`.
    times
        How the focal time is drawn: "distinct", evenly over the distinct times of the batch's group,
        or "anchors", each time in proportion to the group's anchors at that time.
    kernel
        "box": every anchor of the window alike. "gaussian": the focal anchors of a cell are drawn one
        after the other without replacement, each with probability proportional to
        exp(-(t - focal)**2 / (2 * window_hours**2)) among those left, cut at four standard deviations.

    Examples
    --------
    >>> Focus("hours_post_infection", window_hours=1.5).global_fraction
    0.3
    """

    by: str
    window_hours: float | Schedule = field(default=2.0, kw_only=True)
    global_fraction: float | Schedule = field(default=0.3, kw_only=True)
    times: FocalTimes = field(default="distinct", kw_only=True)
    kernel: Kernel = field(default="box", kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.by, str):
            raise InvalidInputError(f"Focus.by={self.by!r} is not a column name.")
        check_choice("Focus.times", self.times, get_args(FocalTimes))
        check_choice("Focus.kernel", self.kernel, get_args(Kernel))
        _set(self, "window_hours", check_scheduled("Focus.window_hours", self.window_hours, check_window))
        fraction = check_scheduled("Focus.global_fraction", self.global_fraction, check_fraction)
        _set(self, "global_fraction", fraction)


@dataclass(frozen=True)
class BatchPlan:
    """What every batch shall hold.

    Parameters
    ----------
    batch_size
        Anchors in a batch.
    grouping, balance, focus
        The axes; None switches one off.

    Raises
    ------
    InvalidInputError
        A value outside what is allowed (a ValueError).

    Examples
    --------
    >>> plan = BatchPlan(64, grouping=Grouping("experiment"), balance=Balance("condition"))
    >>> plan.columns
    ('experiment', 'condition')
    """

    batch_size: int
    grouping: Grouping | None = field(default=None, kw_only=True)
    balance: Balance | None = field(default=None, kw_only=True)
    focus: Focus | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _set(self, "batch_size", check_integer("BatchPlan.batch_size", self.batch_size, 1))
        for name, kind in (("grouping", Grouping), ("balance", Balance), ("focus", Focus)):
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise InvalidInputError(f"BatchPlan.{name}={value!r} is neither None nor a {kind.__name__}.")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the enabled axes use, without repeats."""
        axes = (self.grouping, self.balance, self.focus)
        names = [name for axis in axes if axis is not None for name in check_columns("by", axis.by)]
        return tuple(dict.fromkeys(names))

    def at(self, step: int, batches: int) -> "BatchPlan":
        """Return the plan as it is at a step (epoch * batches + number), without schedules.

        Parameters
        ----------
        step
            Global batches since the beginning.
        batches
            Batches of an epoch.
        """
        axes = {}
        for name in ("grouping", "balance", "focus"):
            axis = getattr(self, name)
            moving = {
                one.name: value.at(float(value.position(step, batches)))
                for one in (() if axis is None else fields(axis))
                if isinstance(value := getattr(axis, one.name), Schedule)
            }
            axes[name] = replace(axis, **moving) if moving else axis
        return replace(self, **axes)

    @property
    def leak(self) -> float:
        """Fraction of a batch that comes from other groups, at the most."""
        leak = 0.0 if self.grouping is None else self.grouping.leak
        return max(leak.values) if isinstance(leak, Schedule) else leak

    @property
    def ratio(self) -> Ratios | None:
        """Shares of strata; of a schedule those at its beginning."""
        ratio = None if self.balance is None else self.balance.ratio
        return ratio.values[0] if isinstance(ratio, Schedule) else ratio

    @property
    def outside(self) -> float:
        """Fraction of a batch that comes from outside the window, at the least."""
        outside = 1.0 if self.focus is None else self.focus.global_fraction
        return min(outside.values) if isinstance(outside, Schedule) else outside

    @property
    def window(self) -> Focus | None:
        """The focus, or None where it is off or leaves no anchor inside the window to choose."""
        return None if self.focus is None or self.focus.global_fraction == 1 else self.focus


def _number(name: str, value: object) -> float:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise InvalidInputError(f"{name}={value!r} is not a number.")
    return float(value)


def _plain_number(value: Real) -> float:
    """Return a number as an int or a float: NumPy's integers wrap in exact arithmetic."""
    return int(value) if isinstance(value, Integral) else float(value)


def _set(value: object, name: str, content: object) -> None:
    object.__setattr__(value, name, content)
