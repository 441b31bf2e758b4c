"""The axes of a batch plan: frozen values that check themselves.

*group*: what the anchors of a batch are restricted to (`Grouping`). *stratum*: what is balanced inside
a batch (`Balance`). *focal window*: the anchors near one time of the batch's group (`Focus`). *leak*:
the anchors of a batch that come from other groups. *value*: what no two anchors of a batch share
(`Distinct`). *weight*: how often an anchor comes beside others of its group and stratum (`Weighting`).
*frame*: where the anchors of a batch are read from (`Locality`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, get_args

from viscy_data.columns import EXPERIMENT, FOV, T
from viscy_data.composition.plan_checks import (
    MOST_FRAMES,
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
        set_field(self, "by", by)
        check = partial(check_weights, columns=by)
        set_field(self, "weights", check_scheduled("Grouping.weights", self.weights, check))
        set_field(self, "leak", check_scheduled("Grouping.leak", self.leak, check_leak))


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
        set_field(self, "by", check_columns("Balance.by", self.by))
        set_field(self, "ratio", check_scheduled("Balance.ratio", self.ratio, check_shares))


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
        set_field(
            self, "window_hours", check_scheduled("Focus.window_hours", self.window_hours, check_window)
        )
        fraction = check_scheduled("Focus.global_fraction", self.global_fraction, check_fraction)
        set_field(self, "global_fraction", fraction)

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
        set_field(self, "by", check_columns("Distinct.by", self.by))
        if self.min_hours is not None:
            set_field(self, "min_hours", check_window("Distinct.min_hours", self.min_hours))
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
class Weighting:
    """Anchors of a cell are drawn in proportion to weights: rare events more often, say.

    Weights count inside a group and stratum only: what a batch takes of each stays as the other axes
    say. Without a focal window an anchor's visits follow its share of its cell's own draws at any time
    (systematically, not by chance); inside a window, and in what leaks from other groups, anchors are
    drawn by weight one after the other without replacement.

    Parameters
    ----------
    by
        Column of weights above 0. Without a window, none may be so large that its anchor would have to
        come twice in a batch.

    Examples
    --------
    >>> Weighting("weight").by
    'weight'
    """

    by: str

    def __post_init__(self) -> None:
        if not isinstance(self.by, str):
            raise InvalidInputError(f"Weighting.by={self.by!r} is not a column name.")


@dataclass(frozen=True)
class Locality:
    """The anchors of a batch come from few frames, so that few images are read for it.

    A *frame* is one time point of one field of view; with ``fovs`` a whole field of view counts as one.
    Give one of the two numbers. Frames come as often as the anchors that they hold say; group, balance
    and leak hold as before, and the focal share is taken from frames inside the window.

    Parameters
    ----------
    frames
        Most frames of a batch.
    fovs
        Most fields of view of a batch; not with `Focus`, which asks for times.
    hold
        Successive batches of a group in which a frame stays; they take turns to go, so that about
        1 / ``hold`` of the frames is new in each batch. Groups then come in runs of so many batches.
        Not with `Focus`, whose focal times change.
    by
        Columns that tell fields of view apart.
    time
        Column of the time point.

    Examples
    --------
    >>> Locality(frames=8).columns
    ('experiment', 'fov', 't')
    """

    frames: int | None = field(default=None, kw_only=True)
    fovs: int | None = field(default=None, kw_only=True)
    hold: int = field(default=1, kw_only=True)
    by: By = field(default=(EXPERIMENT, FOV), kw_only=True)
    time: str = field(default=T, kw_only=True)

    def __post_init__(self) -> None:
        if (self.frames is None) == (self.fovs is None):
            raise InvalidInputError(
                f"Locality.frames={self.frames!r}, Locality.fovs={self.fovs!r}: give one of the two."
            )
        for name in ("frames", "fovs"):
            if getattr(self, name) is not None:
                set_field(self, name, check_integer(f"Locality.{name}", getattr(self, name), 1, MOST_FRAMES))
        set_field(self, "hold", check_integer("Locality.hold", self.hold, 1, MOST_FRAMES))
        set_field(self, "by", check_columns("Locality.by", self.by))
        if not isinstance(self.time, str):
            raise InvalidInputError(f"Locality.time={self.time!r} is not a column name.")

    @property
    def most(self) -> int:
        """Most frames, or fields of view, of a batch."""
        return self.frames or self.fovs or 0

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that tell frames, or fields of view, apart."""
        return tuple(self.by) if self.frames is None else (*self.by, self.time)


def set_field(value: object, name: str, content: object) -> None:
    """Set a field of a frozen value while it checks itself."""
    object.__setattr__(value, name, content)
