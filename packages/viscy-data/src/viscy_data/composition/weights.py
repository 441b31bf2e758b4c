"""Numbers by value, as a plan gives them, for the values that a table holds.

Weights may be given *by level* where a group is a combination of several columns: the share of
batches is then split from column to column, each time among the values that occur together. So a
value of the first column gets exactly its weight, whatever occurs with it.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, cast

from viscy_data.composition.layout import Labels
from viscy_data.composition.mix import NATURAL, Mix
from viscy_data.composition.plan_checks import Ratios, Shares, Weights
from viscy_data.errors import InvalidInputError, suggest

Parts = tuple[Fraction, ...]


def shares_among(given: Shares | None, labels: Labels, counts: Sequence[int]) -> Parts | None:
    """Return each value's share among those with ``counts`` above 0, sum 1; None where all of them are 0.

    Examples
    --------
    >>> labels = Labels(("condition",), None, ("x", "y", "z"))
    >>> [str(share) for share in shares_among("natural", labels, [3, 0, 1])]
    ['3/4', '0', '1/4']
    >>> shares_among({"x": 0, "y": 1, "z": 0}, labels, [3, 0, 1])
    """
    if isinstance(given, Mix):
        return mean_of([(shares_among(part, labels, counts), weight) for part, weight in given.parts])
    if given == NATURAL:
        return normalised([Fraction(count) for count in counts])
    numbers = [Fraction(1 if given is None else given[value]) for value in labels.values]
    return normalised([number * (count > 0) for number, count in zip(numbers, counts, strict=True)])


def asked_values(given: Shares | None, labels: Labels) -> Sequence[bool]:
    """Return of each value whether it is asked for even of a group that lacks it."""
    if isinstance(given, Mix):
        parts = [asked_values(part, labels) for part, _ in given.parts]
        return [any(column) for column in zip(*parts, strict=True)]
    if given == NATURAL:
        return [False] * len(labels.values)
    return [given is None or given[value] > 0 for value in labels.values]


def refuse_names(name: str, given: Shares | None, labels: Labels) -> None:
    """Refuse unknown and missing names together, and a keyword that is also a value of the table."""
    if isinstance(given, Mix):
        for part, _ in given.parts:
            refuse_names(name, part, labels)
    elif isinstance(given, Mapping):
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


def mean_of(parts: Sequence[tuple[Parts | None, float]]) -> Parts | None:
    """Return the weighted mean of those parts that are not None; None where none is left."""
    held = [(part, Fraction(weight)) for part, weight in parts if part is not None and weight]
    if not held:
        return None
    columns = zip(*(part for part, _ in held), strict=True)
    return normalised(
        [
            sum((weight * share for (_, weight), share in zip(held, column, strict=True)), Fraction(0))
            for column in columns
        ]
    )


def group_shares(
    name: str, given: Weights | None, labels: Labels, able: Sequence[bool], anchors: Sequence[int]
) -> Parts | None:
    """Return each group's share of batches, sum 1, from weights as `group_weights` takes them, or a mix.

    None where no group that holds something to draw has a weight.
    """
    if isinstance(given, Mix):
        parts = given.parts
        return mean_of([(group_shares(name, part, labels, able, anchors), weight) for part, weight in parts])
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
    known = set(values)
    unknown = [value for value in given if value not in known]
    missing = [value for value in values if value not in given]
    if unknown or missing:
        texts = [str(value) for value in values]
        parts = [f"{value!r} is not in the table.{suggest(str(value), texts)}" for value in unknown]
        parts += [f"{value!r} is missing (0 leaves it out)." for value in missing]
        return [f"{name}={dict(given)!r} must name each value of {column} once. " + " ".join(parts)]
    return []


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise InvalidInputError(" ".join(problems))
