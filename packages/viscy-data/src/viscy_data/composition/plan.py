"""What a batch shall hold: frozen values that check themselves.

A `BatchPlan` has one optional value per axis; None switches an axis off. *group*: what the anchors
of a batch are restricted to (`Grouping`). *stratum*: what is balanced inside a batch (`Balance`).
*focal window*: the anchors near one time of the batch's group (`Focus`). *leak*: the anchors of a
batch that come from other groups.

A plan knows no table. What can be wrong with a plan alone is refused here; what can be wrong with
a plan and a table together is refused where the two meet.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Final, Literal, get_args

from viscy_data.composition.plan_checks import (
    Shares,
    Weights,
    check_choice,
    check_columns,
    check_flag,
    check_fraction,
    check_integer,
    check_leak,
    check_scheduled,
    check_shares,
    check_weights,
    check_window,
)
from viscy_data.composition.schedule import Schedule
from viscy_data.errors import InvalidInputError

FocalTimes = Literal["distinct", "anchors"]
Kernel = Literal["box", "gaussian"]
By = str | Sequence[str]

CLOCK_TOLERANCE: Final = 1e-4
"""Hours by which an anchor may miss the focal window: clock columns may be float32."""


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
        count at any level. Or a `Schedule` of weights: in each epoch groups then share the batches by the
        mean of their shares at its batches.
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
    weights: Weights | Schedule | None = field(default=None, kw_only=True)
    leak: float | Schedule = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        by = check_columns("Grouping.by", self.by)
        _set(self, "by", by)
        check = partial(check_weights, columns=by)
        _set(self, "weights", check_scheduled("Grouping.weights", self.weights, check))
        _set(self, "leak", check_scheduled("Grouping.leak", self.leak, check_leak))


@dataclass(frozen=True)
class Balance:
    """The strata of a batch stand in a fixed ratio.

    Parameters
    ----------
    by
        Column, or columns whose combinations that occur are the strata.
    ratio
        Relative share by stratum; None gives all strata of a group the same, "natural" gives them shares
        in proportion to their anchors in the group. 0 leaves one out. Or a `Schedule` of any of these.

    Examples
    --------
    >>> dict(Balance("condition", ratio={"infected": 1, "uninfected": 3}).ratio)
    {'infected': 1, 'uninfected': 3}
    """

    by: By
    ratio: Shares | Schedule | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _set(self, "by", check_columns("Balance.by", self.by))
        _set(self, "ratio", check_scheduled("Balance.ratio", self.ratio, check_shares))


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
        exp(-(t - focal)**2 / (2 * window_hours**2)) among those left, cut at four standard deviations;
        neither with `Distinct` nor with a ``span`` above 1.

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

    @property
    def moves(self) -> bool:
        """Whether the window, or what comes from inside it, follows a schedule."""
        return any(isinstance(value, Schedule) for value in (self.window_hours, self.global_fraction))


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
        Refuse a plan whose own (not leaked) anchors some cell or focal window cannot give; not with a
        `Schedule` anywhere in the plan.

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
        A window that follows a `Schedule` is the same for all batches of a step; leak, weights, ratio
        and global fraction are plain numbers where it is above 1.

    Raises
    ------
    InvalidInputError
        A value outside what is allowed, or two that do not go together (a ValueError).

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
        self._refuse_unfit()

    def _refuse_unfit(self) -> None:
        quotas = " and ".join(self.moving_quotas)
        if quotas and self.span > 1:
            raise InvalidInputError(
                f"{quotas} follows a Schedule and BatchPlan.span={self.span}: a step holds as much of "
                "everything as its batches, which must then stay the same. Give plain numbers, or set span=1."
            )
        if self.distinct is not None and self.distinct.strict and self.scheduled:
            raise InvalidInputError(
                f"Distinct.strict=True and a Schedule in {' and '.join(self.scheduled)}: strictness counts "
                "values for one plan, not for one that changes. Set strict=False, or give plain numbers."
            )
        if self.window is not None and self.window.kernel == "gaussian":
            others = [f"BatchPlan.span={self.span}"] if self.span > 1 else []
            others += ["BatchPlan.distinct"] if self.distinct is not None else []
            if others:
                raise InvalidInputError(
                    f"Focus.kernel='gaussian' and {' and '.join(others)}: a Gaussian is drawn one batch at a "
                    "time and without redraws. Use kernel='box', or leave the other out."
                )

    @property
    def scheduled(self) -> tuple[str, ...]:
        """The fields that follow a `Schedule`, such as "Focus.window_hours"."""
        return tuple(
            f"{type(axis).__name__}.{one.name}"
            for axis in (self.grouping, self.balance, self.focus)
            for one in (() if axis is None else fields(axis))
            if isinstance(getattr(axis, one.name), Schedule)
        )

    @property
    def moving_quotas(self) -> tuple[str, ...]:
        """Those of them that decide how many anchors a batch holds of what: not the window's width."""
        return tuple(name for name in self.scheduled if name != "Focus.window_hours")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the enabled axes use, without repeats."""
        axes = (self.grouping, self.balance, self.focus)
        names = [name for axis in axes if axis is not None for name in check_columns("by", axis.by)]
        names += self.distinct.columns if self.distinct else ()
        return tuple(dict.fromkeys(names))

    def at(self, step: int, batches: int) -> "BatchPlan":
        """Return the plan as it is after so many batches (epoch * batches + number), without schedules.

        Parameters
        ----------
        step
            Global batches since the beginning; with ``span``, up to the first of those that go together.
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
    def weights(self) -> Weights | None:
        """Weights of groups; of a schedule those at its beginning."""
        weights = None if self.grouping is None else self.grouping.weights
        return weights.values[0] if isinstance(weights, Schedule) else weights

    @property
    def ratio(self) -> Shares | None:
        """Shares of strata; of a schedule those at its beginning."""
        ratio = None if self.balance is None else self.balance.ratio
        return ratio.values[0] if isinstance(ratio, Schedule) else ratio

    @property
    def outside(self) -> float:
        """Fraction of a batch that comes from outside the window, at the least."""
        outside = 1.0 if self.focus is None else self.focus.global_fraction
        return min(outside.values) if isinstance(outside, Schedule) else outside

    @property
    def reach(self) -> float:
        """Hours from the focal time that still count as inside the window; 0 without one."""
        hours = -CLOCK_TOLERANCE if self.window is None else self.window.window_hours
        if isinstance(hours, Schedule):
            raise InvalidInputError(
                "Focus.window_hours follows a Schedule; ask for the window of the plan at one step (`at`)."
            )
        return hours + CLOCK_TOLERANCE

    @property
    def in_rounds(self) -> bool:
        """Whether cells are drawn so that no batch holds a value twice, without redraws."""
        alone = self.distinct is not None and self.distinct.min_hours is None
        return alone and self.window is None and self.span == 1 and not self.moving_quotas

    @property
    def window(self) -> Focus | None:
        """The focus, or None where it is off or leaves no anchor inside the window to choose."""
        return None if self.focus is None or self.focus.global_fraction == 1 else self.focus


_AXES: Final = {"grouping": Grouping, "balance": Balance, "focus": Focus, "distinct": Distinct}


def _set(value: object, name: str, content: object) -> None:
    object.__setattr__(value, name, content)
