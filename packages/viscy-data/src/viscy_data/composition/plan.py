"""What a batch shall hold: frozen values that check themselves.

A `BatchPlan` has one optional value per axis; None switches an axis off. *group*: what the anchors
of a batch are restricted to (`Grouping`). *stratum*: what is balanced inside a batch (`Balance`).
*focal window*: the anchors near one time of the batch's group (`Focus`). *leak*: the anchors of a
batch that come from other groups.

A plan knows no table. What can be wrong with a plan alone is refused here; what can be wrong with
a plan and a table together is refused where the two meet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from numbers import Integral, Real
from typing import Any, Final

from viscy_data.errors import InvalidInputError

By = str | Sequence[str]
Ratios = Mapping[Any, float]

CLOCK_TOLERANCE: Final = 1e-4
"""Hours by which an anchor may miss the focal window: clock columns may be float32."""


def check_fraction(name: str, value: object, *, below_one: bool = False) -> float:
    """Return ``value`` as a float in [0, 1], or in [0, 1) with ``below_one``."""
    number = _number(name, value)
    if not (0 <= number < 1 if below_one else 0 <= number <= 1):
        allowed = "[0, 1)" if below_one else "[0, 1]"
        raise InvalidInputError(f"{name}={value!r} is outside {allowed}; give a fraction of the batch.")
    return number


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
        None gives each group batches in proportion to its anchors.
    leak
        Fraction of a batch that comes from other groups, in [0, 1).

    Examples
    --------
    >>> Grouping("experiment", leak=0.1).by
    ('experiment',)
    """

    by: By
    weights: Ratios | None = field(default=None, kw_only=True)
    leak: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        _set(self, "by", check_columns("Grouping.by", self.by))
        _set(self, "weights", check_ratios("Grouping.weights", self.weights))
        _set(self, "leak", check_fraction("Grouping.leak", self.leak, below_one=True))


@dataclass(frozen=True)
class Balance:
    """The strata of a batch stand in a fixed ratio.

    Parameters
    ----------
    by
        Column, or columns whose combinations that occur are the strata.
    ratio
        Relative share by stratum; None gives all strata of a group the same. 0 leaves one out.

    Examples
    --------
    >>> dict(Balance("condition", ratio={"infected": 1, "uninfected": 3}).ratio)
    {'infected': 1, 'uninfected': 3}
    """

    by: By
    ratio: Ratios | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _set(self, "by", check_columns("Balance.by", self.by))
        _set(self, "ratio", check_ratios("Balance.ratio", self.ratio))


@dataclass(frozen=True)
class Focus:
    """Most anchors of a batch sit around one time of the batch's group.

    Parameters
    ----------
    by
        Column of the clock, in hours.
    window_hours
        Half width of the focal window, in hours.
    global_fraction
        Fraction of a batch that comes from outside the window; 1 means no window at all.

    Examples
    --------
    >>> Focus("hours_post_infection", window_hours=1.5).global_fraction
    0.3
    """

    by: str
    window_hours: float = field(default=2.0, kw_only=True)
    global_fraction: float = field(default=0.3, kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.by, str):
            raise InvalidInputError(f"Focus.by={self.by!r} is not a column name.")
        _set(self, "window_hours", check_window("Focus.window_hours", self.window_hours))
        _set(self, "global_fraction", check_fraction("Focus.global_fraction", self.global_fraction))


@dataclass(frozen=True)
class Distinct:
    """No two anchors of a batch, or of a step of several batches, share a value.

    Replacements come from the same cell and the same side of the focal window, so that all other axes
    hold as before. Where every value lies within one group and stratum, this is exact wherever the
    window or the cell has enough values; `strict` refuses plans for which some cell has not.

    Parameters
    ----------
    by
        Column, or columns whose combinations are the values: a lineage, a track, a field of view.
    min_hours
        Two anchors of one value may stand together if they are at least so many hours apart; None
        for never.
    clock
        Column of the hours that `min_hours` counts.
    strict
        Refuse a plan whose own (not leaked) anchors some cell or focal window cannot give.

    Examples
    --------
    >>> Distinct("lineage_id").by
    ('lineage_id',)
    """

    by: By
    min_hours: float | None = field(default=None, kw_only=True)
    clock: str = field(default="hours_post_infection", kw_only=True)
    strict: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        _set(self, "by", check_columns("Distinct.by", self.by))
        if self.min_hours is not None:
            _set(self, "min_hours", check_window("Distinct.min_hours", self.min_hours))
        if not isinstance(self.clock, str):
            raise InvalidInputError(f"Distinct.clock={self.clock!r} is not a column name.")
        if check_flag("Distinct.strict", self.strict) and self.min_hours is not None:
            raise InvalidInputError(
                "Distinct.strict=True counts values that come once; with min_hours a value may come again. "
                "Leave one of the two out."
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are needed."""
        return tuple(self.by) if self.min_hours is None else (*self.by, self.clock)


@dataclass(frozen=True)
class BatchPlan:
    """What every batch shall hold.

    Parameters
    ----------
    batch_size
        Anchors in a batch.
    grouping, balance, focus, distinct
        The axes; None switches one off.
    span
        Batches of a *step*: global batches ``span * j`` to ``span * j + span - 1`` share their group
        and focal time and have no anchor in common. For losses that gather negatives over ranks, or
        so that several batches of one group are accumulated; any number of ranks that divides it fits.

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
    distinct: Distinct | None = field(default=None, kw_only=True)
    span: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        _set(self, "span", check_integer("BatchPlan.span", self.span, 1))
        _set(self, "batch_size", check_integer("BatchPlan.batch_size", self.batch_size, 1))
        for name, kind in _AXES.items():
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise InvalidInputError(f"BatchPlan.{name}={value!r} is neither None nor a {kind.__name__}.")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the enabled axes use, without repeats."""
        axes = (self.grouping, self.balance, self.focus)
        names = [name for axis in axes if axis is not None for name in check_columns("by", axis.by)]
        names += self.distinct.columns if self.distinct else ()
        return tuple(dict.fromkeys(names))

    @property
    def leak(self) -> float:
        """Fraction of a batch that comes from other groups."""
        return 0.0 if self.grouping is None else self.grouping.leak

    @property
    def reach(self) -> float:
        """Hours from the focal time that still count as inside the window; 0 without one."""
        return 0.0 if self.window is None else self.window.window_hours + CLOCK_TOLERANCE

    @property
    def in_rounds(self) -> bool:
        """Whether cells are drawn so that no batch holds a value twice, without redraws."""
        alone = self.distinct is not None and self.distinct.min_hours is None
        return alone and self.window is None and self.span == 1

    @property
    def window(self) -> Focus | None:
        """The focus, or None where it is off or leaves no anchor inside the window to choose."""
        return None if self.focus is None or self.focus.global_fraction == 1 else self.focus


_AXES: Final = {"grouping": Grouping, "balance": Balance, "focus": Focus, "distinct": Distinct}


def _number(name: str, value: object) -> float:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise InvalidInputError(f"{name}={value!r} is not a number.")
    return float(value)


def _plain_number(value: Real) -> float:
    """Return a number as an int or a float: NumPy's integers wrap in exact arithmetic."""
    return int(value) if isinstance(value, Integral) else float(value)


def _set(value: object, name: str, content: object) -> None:
    object.__setattr__(value, name, content)
