"""Numbers by value, as a plan gives them, for the values that a table holds.

Weights may be given *by level* where a group is a combination of several columns: the share of
batches is then split from column to column, each time among the values that occur together. So a
value of the first column gets exactly its weight, whatever occurs with it.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, cast

from viscy_data.composition.layout import Labels
from viscy_data.composition.plan_checks import Ratios, Weights
from viscy_data.errors import InvalidInputError, suggest


def ratios_of(name: str, given: Ratios | None, labels: Labels) -> tuple[Fraction, ...]:
    """Return the given number of each value, or 1 for all; refuse unknown and missing names together."""
    if given is None:
        return (Fraction(1),) * len(labels.values)
    _refuse(_problems(name, given, column_text(labels), labels.values))
    return tuple(Fraction(given[value]) for value in labels.values)


def group_weights(
    name: str, given: Weights | None, labels: Labels, able: Sequence[bool], anchors: Sequence[int]
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
        return ratios_of(name, cast("Ratios", given), labels)
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
