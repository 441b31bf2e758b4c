"""What a batch holds: one frozen value with one optional value per axis.

None switches an axis off. A plan knows no table: what can be wrong with a plan alone is refused here, what
can be wrong with a plan and a table together is refused where the two meet (`feasible`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from viscy_data.checks import check_columns, check_integer
from viscy_data.composition.axes import AtMost, Balance, Focus, Grouping, Locality, Weighting, set_field
from viscy_data.composition.plan_checks import MOST_ANCHORS, MOST_BATCHES
from viscy_data.errors import InvalidInputError

CLOCK_TOLERANCE: Final = 1e-4
"""By how much an anchor may miss the focal window: clock columns may be float32."""

AXES: Final = {
    "grouping": Grouping,
    "balance": Balance,
    "focus": Focus,
    "at_most": AtMost,
    "weighting": Weighting,
    "locality": Locality,
}
"""The fields of a plan that are axes; ``at_most`` holds a tuple of its kind, the others one or None."""


@dataclass(frozen=True)
class BatchPlan:
    """What every batch holds.

    Parameters
    ----------
    batch_size
        Anchors in a batch.
    grouping, balance, focus, weighting, locality
        The axes; None switches one off.
    at_most
        Caps, all of which hold together: one, several, or none.
    span
        Batches of a *step*: global batches ``span * j`` to ``span * j + span - 1`` share their group
        and focal time, have no anchor in common, and count together for caps and frames. For losses that
        gather negatives over ranks, or so that several batches of one group are accumulated; any number of
        ranks that divides it fits.

    Raises
    ------
    InvalidInputError
        A value outside what is allowed, or a cap in hours without a clock (a ValueError).

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
    at_most: AtMost | Sequence[AtMost] = field(default=(), kw_only=True)
    weighting: Weighting | None = field(default=None, kw_only=True)
    locality: Locality | None = field(default=None, kw_only=True)
    span: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        set_field(self, "span", check_integer("BatchPlan.span", self.span, 1, MOST_BATCHES))
        size = check_integer("BatchPlan.batch_size", self.batch_size, 1, MOST_ANCHORS)
        set_field(self, "batch_size", size)
        for name, kind in AXES.items():
            value = getattr(self, name)
            if name != "at_most" and value is not None and not isinstance(value, kind):
                raise InvalidInputError(f"BatchPlan.{name}={value!r} is neither None nor a {kind.__name__}.")
        set_field(self, "at_most", self._checked_caps())

    def _checked_caps(self) -> tuple[AtMost, ...]:
        given: Any = (self.at_most,) if isinstance(self.at_most, AtMost) else self.at_most
        if not isinstance(given, Sequence) or not all(isinstance(cap, AtMost) for cap in given):
            raise InvalidInputError(
                f"BatchPlan.at_most={self.at_most!r}: an AtMost or several are allowed; give () for none."
            )
        for cap in given:
            if cap.min_hours is not None and self.focus is None:
                raise InvalidInputError(
                    f"AtMost.min_hours={cap.min_hours} needs a clock; give BatchPlan.focus, with "
                    "global_fraction=1 for a clock without a window."
                )
        return tuple(given)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the enabled axes use, without repeats."""
        return tuple(dict.fromkeys(name for names in self._columns_of.values() for name in names))

    @property
    def _columns_of(self) -> dict[str, tuple[str, ...]]:
        """The columns that each enabled axis uses, by the axis."""
        found = {
            name: check_columns("by", axis.by)
            for name in ("grouping", "balance", "focus", "weighting")
            if (axis := getattr(self, name)) is not None
        }
        if self._caps:
            found["at_most"] = tuple(name for cap in self._caps for name in cap.by)
        if self.locality is not None:
            found["locality"] = self.locality.columns
        return found

    @property
    def _caps(self) -> tuple[AtMost, ...]:
        """The caps."""
        return tuple(self.at_most) if isinstance(self.at_most, Sequence) else (self.at_most,)

    @property
    def _leak(self) -> float:
        """Fraction of a batch that comes from other groups."""
        return 0.0 if self.grouping is None else self.grouping.leak

    @property
    def _window(self) -> Focus | None:
        """The focus, or None where it is off or leaves no anchor inside the window to choose."""
        return None if self.focus is None or self.focus.global_fraction == 1 else self.focus

    @property
    def _reach(self) -> float:
        """How far from the focal time an anchor is still inside the window; below 0 without a window."""
        return -1.0 if self._window is None else self._window.window_hours + CLOCK_TOLERANCE
