"""What a batch shall hold: one frozen value with one optional value per axis.

None switches an axis off. A plan knows no table: what can be wrong with a plan alone is refused here,
what can be wrong with a plan and a table together is refused where the two meet.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Final

from viscy_data.composition.axes import Balance, Distinct, Focus, Grouping, Locality, Weighting, set_field
from viscy_data.composition.plan_checks import (
    MOST_ANCHORS,
    MOST_BATCHES,
    Shares,
    Weights,
    check_columns,
    check_integer,
)
from viscy_data.composition.schedule import Schedule
from viscy_data.errors import InvalidInputError

CLOCK_TOLERANCE: Final = 1e-4
"""Hours by which an anchor may miss the focal window: clock columns may be float32."""


AXES: Final = {
    "grouping": Grouping,
    "balance": Balance,
    "focus": Focus,
    "distinct": Distinct,
    "weighting": Weighting,
    "locality": Locality,
}
"""The fields of a plan that are axes."""


@dataclass(frozen=True)
class BatchPlan:
    """What every batch shall hold.

    Parameters
    ----------
    batch_size
        Anchors in a batch.
    grouping, balance, focus, distinct, weighting, locality
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
    weighting: Weighting | None = field(default=None, kw_only=True)
    locality: Locality | None = field(default=None, kw_only=True)
    span: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        set_field(self, "span", check_integer("BatchPlan.span", self.span, 1, MOST_BATCHES))
        size = check_integer("BatchPlan.batch_size", self.batch_size, 1, MOST_ANCHORS)
        set_field(self, "batch_size", size)
        for name, kind in AXES.items():
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise InvalidInputError(f"BatchPlan.{name}={value!r} is neither None nor a {kind.__name__}.")
        self._refuse_unfit()

    def _refuse_unfit(self) -> None:
        if self.locality is not None:
            self._refuse_beside_locality(self.locality)
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
            others += ["BatchPlan.weighting"] if self.weighting is not None else []
            if others:
                raise InvalidInputError(
                    f"Focus.kernel='gaussian' and {' and '.join(others)}: a Gaussian is drawn one batch at a "
                    "time, without redraws and by its own weights. Use kernel='box', or leave the other out."
                )

    def _refuse_beside_locality(self, locality: Locality) -> None:
        window = self.window
        beside = [
            ("BatchPlan.weighting", self.weighting is not None),
            (f"BatchPlan.span={self.span}", self.span > 1),
            (" and ".join(self.moving_quotas) + " that follows a Schedule", bool(self.moving_quotas)),
            ("Focus.kernel='gaussian'", window is not None and window.kernel == "gaussian"),
        ]
        if window is not None:
            beside += [
                (f"Locality.hold={locality.hold} and BatchPlan.focus", locality.hold > 1),
                (f"Locality.fovs={locality.fovs} and BatchPlan.focus", locality.fovs is not None),
            ]
        if others := [name for name, is_on in beside if is_on]:
            raise InvalidInputError(
                f"BatchPlan.locality does not go with {', '.join(others)}: leave one of them out (with a "
                "focus, give Locality.frames and hold=1)."
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
        names += (self.weighting.by,) if self.weighting else ()
        names += self.locality.columns if self.locality else ()
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
        plain = self.window is None and self.weighting is None and self.locality is None and self.span == 1
        return alone and plain and not self.moving_quotas

    @property
    def window(self) -> Focus | None:
        """The focus, or None where it is off or leaves no anchor inside the window to choose."""
        return None if self.focus is None or self.focus.global_fraction == 1 else self.focus
