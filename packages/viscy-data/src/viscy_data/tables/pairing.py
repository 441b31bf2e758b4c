"""The rule that pairs an anchor with its positive: a value that checks itself, and what it makes of a table.

Movies pair a cell with its later self. A snapshot has no later frame, and a screen asks another question:
what do two cells of one gene share? So there is a choice of rules, and some options belong to one of them:

    positive="lineage"      the cell line tau later: tau, sisters, decay, tau_per  (the default)
    positive="self"         the anchor's own patch, augmented twice: no option
    Pairing(by="gene")      another cell of the same gene: by, within
    Pairing(across="marker")  another marker of the same cell, in its frame; with tau, later, and then with
                            the options of the lineage

Options of one rule that are given to another would be without effect. They are refused in words, here and
nowhere else; and whether a row of a table has a positive, which rows take part, and which positive is drawn
all come from `positives_of`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from viscy_data.checks import brief, check_choice, check_columns, check_flag, is_finite_number
from viscy_data.columns import CHANNEL, EXPERIMENT, FOV, MARKER, PARENT_TRACK_ID, TRACK_ID, WELL, T
from viscy_data.errors import InvalidInputError
from viscy_data.tables.tau import TauRange, frames_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from viscy_data.tables.experiments import Experiments
    from viscy_data.tables.lineage import BoolArray, IntArray

type Positive = Literal["lineage", "self"]
type Rule = Literal["lineage", "self", "by", "across"]

RULES = ("lineage", "self")
_OF_LINEAGES = ("tau", "sisters", "decay", "tau_per")


@dataclass(frozen=True)
class Pairing:
    """Which positives an anchor may take.

    Attributes
    ----------
    tau
        Range of times between both; None: that of the anchors file (with ``across``: the same frame).
    sisters
        Whether a sister is a positive.
    decay
        How much likelier near positives are than far ones.
    tau_per
        Draw the time for each anchor, or for each frame (fewer frames to read).
    by
        Columns of the table, one or several: the positive is another cell that has the same values of them
        (:mod:`viscy_data.tables.same_values`), and nothing is asked of times.
    within
        With ``by``: both cells are of one ``"experiment"``; None: of any.
    across
        ``"marker"``, in a table with a row for each channel: the positive is another marker of the same cell
        (:mod:`viscy_data.tables.across_markers`), in the same frame, or within ``tau`` where it is given.

    Raises
    ------
    InvalidInputError
        Where an option is not allowed, or has no meaning beside another.

    Examples
    --------
    >>> Pairing(by="gene").by
    ('gene',)
    """

    tau: TauRange | None = None
    sisters: bool = False
    decay: float = 2.0
    tau_per: Literal["anchor", "frame"] = "anchor"
    by: str | Sequence[str] | None = None
    within: Literal["experiment"] | None = "experiment"
    across: Literal["marker"] | None = None

    def __post_init__(self) -> None:
        check_flag("sisters", self.sisters)
        if not is_finite_number(self.decay) or self.decay < 0:
            raise InvalidInputError(f"decay={brief(self.decay)}: a finite number >= 0 is needed.")
        check_choice("tau_per", self.tau_per, ("anchor", "frame"))
        if self.within not in (None, "experiment"):
            raise InvalidInputError(
                f"within={brief(self.within)}: 'experiment' (both cells of one) or None (of any) are allowed."
            )
        if self.across not in (None, "marker"):
            raise InvalidInputError(
                f"across={brief(self.across)}: 'marker' (another one of the same cell) or None are allowed."
            )
        if self.by is not None:
            object.__setattr__(self, "by", check_columns("by", self.by))
        self._check_together()

    def _check_together(self) -> None:
        """Refuse options that would be without effect beside the others."""
        if self.by is None and self.within is None:
            raise InvalidInputError(
                "within=None: it says where cells of the same values may be; give their columns in by, "
                "or leave it out."
            )
        if self.by is not None and self.across is not None:
            raise InvalidInputError(
                f"across={self.across!r} with by={self.by!r}: a positive is the same cell or another one; "
                "leave one of them out."
            )
        if self.by is not None:
            self._refuse(
                _OF_LINEAGES, f"by={self.by!r} takes another cell at whatever time; leave one of them out"
            )
        if self.across is not None and self.tau is None:
            self._refuse(_OF_LINEAGES, f"across={self.across!r} takes the same frame; give tau, too")

    def _refuse(self, names: Sequence[str], why: str) -> None:
        for name in names:
            if name in self.stated:
                raise InvalidInputError(
                    f"{name}={brief(getattr(self, name))}: it belongs to positives of the same lineage, "
                    f"while {why}."
                )

    @property
    def stated(self) -> tuple[str, ...]:
        """Names of the options that are not their defaults."""
        return tuple(one.name for one in fields(self) if getattr(self, one.name) != one.default)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that ``by`` names."""
        return check_columns("by", self.by) if self.by is not None else ()


class PositiveDraws(Protocol):
    """Which rows of a table have a positive, and the draw of it."""

    has_positive: "BoolArray"
    """(M,) of each row."""

    def draw(
        self, rows: "IntArray", *, epoch: int, number: int, places: "IntArray | None" = None
    ) -> "IntArray":
        """Return a positive (B,) for each of ``rows`` (B,), at ``places`` (B,) of a batch."""


def check_positive(positive: str | None, pairing: Pairing) -> Rule:
    """Return the rule that ``positive`` and ``pairing`` ask for together.

    Parameters
    ----------
    positive
        ``"lineage"``, ``"self"``, or None: as the pairing says.
    pairing
        Its options.

    Raises
    ------
    InvalidInputError
        Where they contradict each other.

    Examples
    --------
    >>> check_positive(None, Pairing(by="gene")), check_positive(None, Pairing())
    ('by', 'lineage')
    """
    if positive is not None:
        check_choice("positive", positive, RULES)
    if positive == "self":
        if pairing.stated:
            given = ", ".join(f"{name}={brief(getattr(pairing, name))}" for name in pairing.stated)
            raise InvalidInputError(
                f"positive='self' with pairing: {given}: the anchor's own patch is paired with nothing else; "
                "leave one of them out."
            )
        return "self"
    if pairing.by is None and pairing.across is None:
        return "lineage"
    rule: Rule = "across" if pairing.by is None else "by"
    if positive == "lineage":
        raise InvalidInputError(
            f"positive='lineage' with pairing: {rule}={getattr(pairing, rule)!r}: these are two rules; leave "
            "one of them out."
        )
    return rule


def columns_of(positive: str | None, pairing: Pairing) -> tuple[str, ...]:
    """Return the columns of an anchors table that decide which of its rows have a positive.

    Those of channels matter where the table has them, and only with ``across`` must it have them.
    """
    rule = check_positive(positive, pairing)
    if rule == "self":
        return ()
    own = {"lineage": (PARENT_TRACK_ID, T, CHANNEL), "by": (MARKER, *pairing.columns)}
    across = (PARENT_TRACK_ID, T, CHANNEL, MARKER)
    return tuple(dict.fromkeys([EXPERIMENT, WELL, FOV, TRACK_ID, *own.get(rule, across)]))


def positives_of(
    anchors: "pd.DataFrame",
    experiments: "Experiments",
    *,
    positive: str | None = None,
    pairing: Pairing = Pairing(),
    tau: TauRange | None = None,
    parts: "NDArray[np.integer[Any]] | None" = None,
    seed: int = 0,
) -> PositiveDraws | None:
    """Return the positives of a table under a rule; None: every row is its own.

    Parameters
    ----------
    anchors
        (M, columns), see `columns_of`.
    experiments
        Whose intervals turn hours into frames.
    positive, pairing
        The rule.
    tau
        What holds where ``pairing.tau`` is None.
    parts
        With ``pairing.by``: (M,) part of each row; rows of different parts are never a pair.
    seed
        Of the draws.

    Raises
    ------
    InvalidInputError
        Where the rule contradicts itself, a column is missing, or a range of times is missing or empty.
    """
    from viscy_data.tables.across_markers import AcrossMarkerPositives  # noqa: PLC0415  options load without pandas
    from viscy_data.tables.positives import Positives  # noqa: PLC0415
    from viscy_data.tables.same_values import SameValuePositives  # noqa: PLC0415

    def lineage(of: "pd.DataFrame") -> Positives:
        if chosen is None:
            raise InvalidInputError(
                "pairing.tau=None: it must be given where anchors is a table and not a file."
            )
        return Positives(
            of,
            frames_of(chosen, experiments.experiments, of),
            sisters=pairing.sisters,
            decay=pairing.decay,
            seed=seed,
            tau_per=pairing.tau_per,
        )

    rule = check_positive(positive, pairing)
    chosen = pairing.tau or tau
    if parts is not None and rule != "by":
        raise InvalidInputError(
            f"parts: pairs of the rule {rule!r} are of one lineage, which is in one part; leave parts out."
        )
    if parts is not None and np.shape(parts) != (len(anchors),):
        raise InvalidInputError(
            f"parts.shape={np.shape(parts)}: ({len(anchors)},) is needed, one for each row."
        )
    if rule == "self":
        return None
    if rule == "by":
        return SameValuePositives(anchors, pairing.columns, within=pairing.within, parts=parts, seed=seed)
    if rule == "across":
        return AcrossMarkerPositives(anchors, later=lineage if pairing.tau else None, seed=seed)
    return lineage(anchors)


def say_without(positive: str | None, pairing: Pairing) -> str:
    """Return why a row has no positive under a rule, to follow "left out:".

    Examples
    --------
    >>> say_without(None, Pairing())
    'their cell has no later relative within tau'
    >>> say_without(None, Pairing(by=["gene", "dose"], within=None))
    'no other cell has the same gene and dose'
    """
    rule = check_positive(positive, pairing)
    if rule == "by":
        where = " of their experiment" if pairing.within else ""
        return f"no other cell{where} has the same {_listed(pairing.columns)}"
    if rule == "across":
        return "their cell shows no other marker" + (
            " there and within tau" if pairing.tau else " in its frame"
        )
    return "their cell has no later relative within tau"


def say_none(count: int, positive: str | None, pairing: Pairing) -> str:
    """Return what is said where none of so many anchors has a positive."""
    return (
        f"none of the {count} anchors has a positive: {say_without(positive, pairing)}. Take another "
        "pairing (a wider tau, other columns by), or positive='self'."
    )


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
