"""What a plan means for one table: exact shares, and everything that can be wrong between the two.

Shares are exact fractions. Strata that a group lacks are renormalised away. A leaked anchor takes
the stratum that balance gives it; a stratum that no other group holds passes its share on to those
that are held elsewhere.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from viscy_data.composition.layout import AnchorLayout
from viscy_data.composition.plan import BatchPlan
from viscy_data.composition.weights import (
    asked_values,
    column_text,
    group_shares,
    normalised,
    refuse_names,
    shares_among,
)
from viscy_data.errors import CompositionWarning, InvalidInputError

Shares = tuple[Fraction, ...]

PLAN_NAMES: Final[Mapping[str, str]] = {
    "batch_size": "BatchPlan.batch_size",
    "weights": "Grouping.weights",
    "leak": "Grouping.leak",
    "ratio": "Balance.ratio",
    "global_fraction": "Focus.global_fraction",
}
"""What messages call the fields of a plan."""


@dataclass(frozen=True)
class TableShares:
    """Exact shares of a plan on a table.

    Attributes
    ----------
    groups
        Share of batches, by group; 0 for a group whose strata are all left out.
    own, leaked
        For each group its shares of strata among own and among leaked anchors; ``leaked`` is None
        without a leak, entries of groups that get no batch are None.
    """

    groups: Shares
    own: tuple[Shares | None, ...]
    leaked: tuple[Shares | None, ...] | None

    @classmethod
    def of(
        cls,
        plan: BatchPlan,
        layout: AnchorLayout,
        names: Mapping[str, str] = PLAN_NAMES,
        *,
        quiet: bool = False,
    ) -> "TableShares":
        """Work out the shares, with warnings unless ``quiet``; see the module for what is refused."""
        size = layout.size
        ratio = plan.ratio
        refuse_names(names["ratio"], ratio, layout.strata)
        own = [shares_among(ratio, layout.strata, column) for column in size.T.tolist()]
        groups = group_shares(
            names["weights"],
            plan.weights,
            layout.groups,
            [shares is not None for shares in own],
            size.sum(axis=0).tolist(),
        )
        if groups is None:
            raise InvalidInputError(
                f"{names['weights']} and {names['ratio']} together leave no group with an anchor to draw; "
                "give at least one group and one of its strata a number above 0."
            )
        if not quiet:
            _warn_idle([layout.groups.values[g] for g, p in enumerate(own) if p is None], names)
            _warn_lacking(layout, asked_values(ratio, layout.strata))
        leaked = _leaked(own, layout, plan, names) if plan.leak > 0 else None
        return cls(groups, tuple(own), leaked)


def _leaked(
    own: Sequence[Shares | None], layout: AnchorLayout, plan: BatchPlan, names: Mapping[str, str]
) -> tuple[Shares | None, ...]:
    leak = plan.leak
    if len(own) == 1:
        raise InvalidInputError(
            f"{names['leak']}={leak!r} needs at least two groups, but the table has one, "
            f"{layout.groups.values[0]!r}; set {names['leak']}=0."
        )
    elsewhere = layout.size.sum(axis=1, keepdims=True) - layout.size
    found: list[Shares | None] = []
    for group, (shares, pool) in enumerate(zip(own, elsewhere.T, strict=True)):
        held = [int(n) > 0 for n in pool]
        passed_on = shares and normalised([share * h for share, h in zip(shares, held, strict=True)])
        if shares is not None and passed_on is None:
            passed_on = shares_among(plan.ratio, layout.strata, pool.tolist())
            if passed_on is None:
                raise InvalidInputError(
                    f"{names['leak']}={leak!r}: no other group than {layout.groups.values[group]!r} holds "
                    f"an anchor that {names['ratio']} lets through; set {names['leak']}=0."
                )
        found.append(passed_on)
    return tuple(found)


def _warn_idle(idle: Sequence[Any], names: Mapping[str, str]) -> None:
    if idle:
        warnings.warn(
            f"{names['ratio']} is 0 for every stratum of {', '.join(map(repr, idle))}: "
            "no batch comes from there.",
            CompositionWarning,
            stacklevel=2,
        )


def _warn_lacking(layout: AnchorLayout, asked: Sequence[bool]) -> None:
    """Say once which strata which groups lack: their shares go to the others of the group."""
    lacking = {
        group: [
            s
            for s, n, is_asked in zip(layout.strata.values, column, asked, strict=True)
            if is_asked and not n
        ]
        for group, column in zip(layout.groups.values, layout.size.T, strict=True)
    }
    texts = [
        f"{group!r} has no {', '.join(map(repr, absent))}" for group, absent in lacking.items() if absent
    ]
    if texts:
        shown = "; ".join(texts[:12]) + (f"; and {len(texts) - 12} more" if len(texts) > 12 else "")
        warnings.warn(
            f"Some groups lack values of {column_text(layout.strata)}; the others share their places: "
            f"{shown}.",
            CompositionWarning,
            stacklevel=2,
        )
