"""The axes of a batch plan: frozen values that check themselves.

A user asks for several things of a batch at once: one experiment, balanced conditions, cells around one
time, no two cells of one lineage. Each wish is one value here, all of them go together in a `BatchPlan`,
and each refuses by itself what it cannot mean. The words: a *group* is what the anchors of a batch are
restricted to (`Grouping`), a *leak* the anchors that come from other groups; a *stratum* is what is balanced
inside a batch (`Balance`); the *focal window* holds the anchors near one time of the batch's group
(`Focus`); a *cap* limits how many anchors of one value come together (`AtMost`); a *weight* says how often an
anchor comes beside others of its group and stratum (`Weighting`); a *frame* is where anchors are read from
(`Locality`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from viscy_data.checks import check_choice, check_column, check_columns, check_fraction, check_integer
from viscy_data.columns import EXPERIMENT, FOV, T
from viscy_data.composition.plan_checks import (
    MOST_ANCHORS,
    MOST_FRAMES,
    Shares,
    Weights,
    check_shares,
    check_weights,
    check_window,
)
from viscy_data.errors import InvalidInputError

FocalTimes = Literal["uniform", "by_anchor"]
By = str | Sequence[str]


@dataclass(frozen=True)
class Grouping:
    """All anchors of a batch come from one group, except those that leak in.

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
        Fraction of a batch that comes from other groups, in [0, 1); from each by its anchors, whatever
        ``weights`` say, 0 included.

    Examples
    --------
    >>> Grouping("experiment", leak=0.1).by
    ('experiment',)
    """

    by: By
    weights: Weights | None = field(default=None, kw_only=True)
    leak: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        by = check_columns("Grouping.by", self.by)
        set_field(self, "by", by)
        set_field(self, "weights", check_weights("Grouping.weights", self.weights, columns=by))
        set_field(self, "leak", check_fraction("Grouping.leak", self.leak, below_one=True))


@dataclass(frozen=True)
class Balance:
    """The strata of a batch come in a fixed ratio.

    Parameters
    ----------
    by
        Column, or columns whose combinations that occur are the strata.
    ratio
        Relative share by stratum; None gives all strata of a group the same, "natural" gives them shares
        in proportion to their anchors in the group. 0 leaves one out.

    Examples
    --------
    >>> dict(Balance("condition", ratio={"infected": 1, "uninfected": 3}).ratio)
    {'infected': 1, 'uninfected': 3}
    """

    by: By
    ratio: Shares | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        set_field(self, "by", check_columns("Balance.by", self.by))
        set_field(self, "ratio", check_shares("Balance.ratio", self.ratio))


@dataclass(frozen=True)
class Focus:
    """Most anchors of a batch sit around one time of the batch's group.

    Parameters
    ----------
    by
        Column of the clock: hours after infection, hours since the last division, or any other number.
    window_hours
        Half width of the focal window, in the unit of the clock.
    global_fraction
        Fraction of a batch that comes from outside the window; 1 means a clock without a window. With 0
        nothing comes from outside: a short window repeats its anchors, and a time at which some stratum
        has nothing in the window is never focal.
    times
        How the focal time is drawn: "uniform", evenly over the distinct times of the batch's group,
        or "by_anchor", each time in proportion to the group's anchors at that time.

    Examples
    --------
    >>> Focus("hours_post_infection", window_hours=1.5).global_fraction
    0.3
    """

    by: str
    window_hours: float = field(default=2.0, kw_only=True)
    global_fraction: float = field(default=0.3, kw_only=True)
    times: FocalTimes = field(default="uniform", kw_only=True)

    def __post_init__(self) -> None:
        check_column("Focus.by", self.by)
        check_choice("Focus.times", self.times, get_args(FocalTimes))
        set_field(self, "window_hours", check_window("Focus.window_hours", self.window_hours))
        set_field(self, "global_fraction", check_fraction("Focus.global_fraction", self.global_fraction))


@dataclass(frozen=True)
class AtMost:
    """At most so many anchors of one value in a batch, or in a step of several batches.

    An anchor over the cap is drawn again from where it came: its cell, its side of the focal window, its
    frame. So all other axes hold as before. Where there are too few values, anchors over the cap stay; the
    report counts them.

    Parameters
    ----------
    by
        Column, or columns whose combinations are the values: a lineage, a track, a well.
    count
        Anchors of a value that may come together.
    min_hours
        Two anchors of one value do not count against each other where they are at least so far apart on the
        clock of the plan's `Focus`; None: they always do.

    Examples
    --------
    >>> AtMost("well", 4).by
    ('well',)
    """

    by: By
    count: int = 1
    min_hours: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        set_field(self, "by", check_columns("AtMost.by", self.by))
        set_field(self, "count", check_integer("AtMost.count", self.count, 1, MOST_ANCHORS))
        if self.min_hours is not None:
            set_field(self, "min_hours", check_window("AtMost.min_hours", self.min_hours))


def Distinct(by: By, *, min_hours: float | None = None) -> AtMost:  # noqa: N802 - reads as the axis it makes
    """Return the cap of one: no two anchors of a batch, or of a step of several, share a value.

    Examples
    --------
    >>> Distinct("lineage_id")
    AtMost(by=('lineage_id',), count=1, min_hours=None)
    """
    return AtMost(by, 1, min_hours=min_hours)


@dataclass(frozen=True)
class Weighting:
    """Anchors of a cell are drawn in proportion to weights: rare events more often, say.

    Weights count inside a group and stratum only: what a batch takes of each stays as the other axes
    say. Inside each cell, window, leak and frame the expected visits of an anchor follow its weight, as long
    as that gives it at most one visit in a batch.

    Parameters
    ----------
    by
        Column of weights above 0.

    Examples
    --------
    >>> Weighting("weight").by
    'weight'
    """

    by: str

    def __post_init__(self) -> None:
        check_column("Weighting.by", self.by)


@dataclass(frozen=True)
class Locality:
    """The anchors of a batch come from few frames, so that few images are read for it.

    A *frame* is one time point of one field of view; with ``fovs`` a whole field of view counts as one.
    Give one of the two numbers. Frames come as often as the anchors that they hold say.

    Parameters
    ----------
    frames
        Most frames of a batch, or of a step of several batches.
    fovs
        Most fields of view.
    hold
        Successive steps of a group in which a frame stays; they take turns to go, so that about
        1 / ``hold`` of the frames is new in each step. Groups then come in runs of so many steps. With a
        focal window the focal time stays as long, and all frames change together.
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
        name = "fovs" if self.frames is None else "frames"
        set_field(self, name, check_integer(f"Locality.{name}", getattr(self, name), 1, MOST_FRAMES))
        set_field(self, "hold", check_integer("Locality.hold", self.hold, 1, MOST_FRAMES))
        set_field(self, "by", check_columns("Locality.by", self.by))
        check_column("Locality.time", self.time)

    @property
    def _most(self) -> int:
        """Most frames, or fields of view, of a step."""
        return self.frames or self.fovs or 0

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that tell frames, or fields of view, apart."""
        return tuple(self.by) if self.frames is None else (*self.by, self.time)


def set_field(value: object, name: str, content: object) -> None:
    """Set a field of a frozen value while it checks itself."""
    object.__setattr__(value, name, content)
