"""What a plan asks of one table, as exact fractions: shares of batches by group, and of anchors by stratum.

Numbers in a plan name values; a table holds some of these values, in some combinations. Here the two meet:
every name is checked, strata that a group lacks pass their share to the others of the group, and a leaked
anchor takes the stratum that balance gives it (one that no other group holds passes its share on to those
that are held elsewhere). Everything is an exact fraction, so that later rounding is the only rounding.

Weights of groups may be given *by level* where a group is a combination of several columns: the share of
batches is then split from column to column, each time among the values that occur together. So a value of the
first column gets exactly its weight, whatever occurs with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, cast

from viscy_data.composition.layout import AnchorLayout, Labels
from viscy_data.composition.plan import BatchPlan
from viscy_data.composition.plan_checks import NATURAL, Ratios, Shares, Weights
from viscy_data.errors import InvalidInputError, suggest

Parts = tuple[Fraction, ...]

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

    groups: Parts
    own: tuple[Parts | None, ...]
    leaked: tuple[Parts | None, ...] | None

    @classmethod
    def of(
        cls,
        plan: BatchPlan,
        layout: AnchorLayout,
        names: Mapping[str, str] = PLAN_NAMES,
    ) -> "TableShares":
        """Work out the shares; see the module for what is refused."""
        size = layout.size
        ratio = None if plan.balance is None else plan.balance.ratio
        refuse_names(names["ratio"], ratio, layout.strata)
        own = [shares_among(ratio, layout.strata, column) for column in size.T.tolist()]
        able = [shares is not None for shares in own]
        given = None if plan.grouping is None else plan.grouping.weights
        groups = group_shares(names["weights"], given, layout.groups, able, size.sum(axis=0).tolist())
        if groups is None:
            raise InvalidInputError(
                f"{names['weights']} and {names['ratio']} together leave no group with an anchor to draw; "
                "give at least one group and one of its strata a number above 0."
            )
        leaked = _leaked(own, layout, plan, names) if plan._leak > 0 else None
        return cls(groups, tuple(own), leaked)


def _leaked(
    own: Sequence[Parts | None], layout: AnchorLayout, plan: BatchPlan, names: Mapping[str, str]
) -> tuple[Parts | None, ...]:
    leak = plan._leak
    ratio = None if plan.balance is None else plan.balance.ratio
    if len(own) == 1:
        raise InvalidInputError(
            f"{names['leak']}={leak!r} needs at least two groups, but the table has one, "
            f"{layout.groups.values[0]!r}; set {names['leak']}=0."
        )
    elsewhere = layout.size.sum(axis=1, keepdims=True) - layout.size
    found: list[Parts | None] = []
    for group, (shares, pool) in enumerate(zip(own, elsewhere.T, strict=True)):
        held = [int(n) > 0 for n in pool]
        passed_on = shares and normalised([share * h for share, h in zip(shares, held, strict=True)])
        if shares is not None and passed_on is None:
            passed_on = shares_among(ratio, layout.strata, pool.tolist())
            if passed_on is None:
                raise InvalidInputError(
                    f"{names['leak']}={leak!r}: no other group than {layout.groups.values[group]!r} holds "
                    f"an anchor that {names['ratio']} lets through; set {names['leak']}=0."
                )
        found.append(passed_on)
    return tuple(found)


def shares_among(given: Shares | None, labels: Labels, counts: Sequence[int]) -> Parts | None:
    """Return each value's share among those with ``counts`` above 0, sum 1; None where all of them are 0."""
    if given == NATURAL:
        return normalised([Fraction(count) for count in counts])
    numbers = [Fraction(1 if given is None else given[value]) for value in labels.values]
    return normalised([number * (count > 0) for number, count in zip(numbers, counts, strict=True)])


def refuse_names(name: str, given: Shares | None, labels: Labels) -> None:
    """Refuse unknown and missing names together, and a keyword that is also a value of the table."""
    if isinstance(given, Mapping):
        _refuse(_problems(name, given, column_text(labels), labels.values))
    elif given in labels.values and given is not None:
        raise InvalidInputError(
            f"{name}={given!r} means shares as they occur, but {given!r} is also a value of "
            f"{column_text(labels)}. Rename the value, or give each value's share in a mapping."
        )


def normalised(values: Sequence[Fraction]) -> Parts | None:
    """Return values over their sum; None where that is 0."""
    total = sum(values)
    return tuple(value / total for value in values) if total else None


def group_shares(
    name: str, given: Weights | None, labels: Labels, able: Sequence[bool], anchors: Sequence[int]
) -> Parts | None:
    """Return each group's share of batches, sum 1, from weights as `group_weights` takes them.

    None where no group that holds something to draw has a weight.
    """
    weights = group_weights(name, given, labels, able, anchors)
    return normalised([weight * is_able for weight, is_able in zip(weights, able, strict=True)])


def group_weights(
    name: str,
    given: Ratios | Mapping[str, Ratios] | None,
    labels: Labels,
    able: Sequence[bool],
    anchors: Sequence[int],
) -> Sequence[Fraction]:
    """Return each group's weight: its anchors, the one given, or by level what reaches it.

    Parameters
    ----------
    name
        What messages call the weights.
    given
        By group, by level, or None.
    labels
        The groups.
    able
        Whether a group holds something to draw; only these get a part of what is split.
    anchors
        Anchors of each group.

    Raises
    ------
    InvalidInputError
        Names that the table lacks, or values that are not named, of all levels together.
    """
    if given is None:
        return [Fraction(count) for count in anchors]
    if not any(isinstance(part, Mapping) for part in given.values()):
        by_group = cast("Ratios", given)
        refuse_names(name, by_group, labels)
        return [Fraction(by_group[value]) for value in labels.values]
    levels = cast("Mapping[str, Ratios]", given)
    paths = [tuple(value) if len(labels.names) > 1 else (value,) for value in labels.values]
    _refuse_levels(name, levels, labels, paths)
    share = [Fraction(int(is_able)) for is_able in able]
    for level, column in enumerate(labels.names):
        if column in levels:
            share = [s * (levels[column][path[level]] > 0) for s, path in zip(share, paths, strict=True)]
    for level, column in enumerate(labels.names):
        share = _split(share, paths, level, levels.get(column), anchors)
    return share


def _split(
    share: Sequence[Fraction],
    paths: Sequence[tuple[Any, ...]],
    level: int,
    numbers: Ratios | None,
    anchors: Sequence[int],
) -> list[Fraction]:
    """Multiply shares by each branch's part of what its siblings share."""
    siblings: dict[tuple[Any, ...], dict[Any, Fraction]] = {}
    for group, path in enumerate(paths):
        if share[group]:
            parts = siblings.setdefault(path[:level], {})
            if numbers is None:
                parts[path[level]] = parts.get(path[level], Fraction(0)) + anchors[group]
            else:
                parts[path[level]] = Fraction(numbers[path[level]])
    fraction: dict[tuple[Any, ...], Fraction] = {}
    for above, parts in siblings.items():
        whole = sum(parts.values())
        fraction |= {(*above, value): part / whole for value, part in parts.items()}
    return [s and s * fraction[path[: level + 1]] for s, path in zip(share, paths, strict=True)]


def column_text(labels: Labels) -> str:
    """Return the columns of labels for people."""
    return " x ".join(repr(name) for name in labels.names)


def _refuse_levels(
    name: str, levels: Mapping[str, Ratios], labels: Labels, paths: Sequence[tuple[Any, ...]]
) -> None:
    problems: list[str] = []
    for level, column in enumerate(labels.names):
        if column in levels:
            values = list(dict.fromkeys(path[level] for path in paths))
            problems += _problems(f"{name}[{column!r}]", levels[column], repr(column), values)
    _refuse(problems)


def _problems(name: str, given: Ratios, column: str, values: Sequence[Any]) -> list[str]:
    """Say what is wrong with a mapping, one text for all of it."""
    unknown = sorted(set(given) - set(values), key=list(given).index)
    missing = [value for value in values if value not in given]
    if unknown or missing:
        texts = [str(value) for value in values]
        parts = [f"{value!r} is not in the table.{suggest(str(value), texts)}" for value in unknown]
        parts += [f"{value!r} is missing (0 leaves it out)." for value in missing[:8]]
        parts += [f"{len(missing) - 8} more are missing."] if len(missing) > 8 else []
        return [f"{name}={dict(given)!r} must name each value of {column} once. " + " ".join(parts)]
    return []


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise InvalidInputError(" ".join(problems))
