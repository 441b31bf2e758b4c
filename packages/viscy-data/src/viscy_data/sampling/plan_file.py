"""A batch plan in YAML: the fields of `BatchPlan`, section by section.

A file changes a plan that is there already, so it may be as short as what differs:

    batch_size: 64
    grouping: {leak: 0.2}
    focus: null
    at_most: [{by: lineage_id}, {by: well, count: 4}]

A section that the plan has keeps the fields that the file does not name; null switches an axis off; a
section that the plan lacks takes the usual column where ``by`` is not given. Caps are a list, which replaces
those of the plan. A curriculum names what changes by the global batch at which it begins:

    balance: {ratio: natural}
    stages:
      0: {focus: {window_hours: 8}}
      20000: {focus: {window_hours: 2}}
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

from viscy_data.columns import CONDITION, EXPERIMENT, HOURS
from viscy_data.composition.axes import AtMost
from viscy_data.composition.curriculum import Curriculum
from viscy_data.composition.plan import BatchPlan
from viscy_data.errors import InvalidInputError, suggest
from viscy_data.files.yaml_file import read_yaml

USUAL_COLUMN: Final = {"grouping": EXPERIMENT, "balance": CONDITION, "focus": HOURS}
"""The column that the sampler's flat arguments use, by section."""

STAGES: Final = "stages"
"""The section that makes a curriculum of a plan."""


def read_plan(path: Path, base: BatchPlan | Curriculum) -> BatchPlan | Curriculum:
    """Return ``base`` as a plan file changes it; a curriculum where the file names stages.

    Raises
    ------
    InvalidInputError
        The file cannot be read, is not a mapping, names what a plan does not have, or holds a value that a
        plan refuses.
    """
    changes = read_yaml(path, "plan file")
    try:
        return change_plan(base, changes)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from error


def change_plan(base: BatchPlan | Curriculum, changes: object) -> BatchPlan | Curriculum:
    """Return ``base`` with fields replaced; a mapping changes fields of a section.

    ``stages``, changes by the global batch at which they begin, makes a curriculum of the plan. Without it a
    curriculum changes in each of its plans; with it the new stages replace those it had.

    Raises
    ------
    InvalidInputError
        The changes name what a plan does not have, or hold a value that it refuses.

    Examples
    --------
    >>> from viscy_data.composition import Grouping
    >>> base = BatchPlan(8, grouping=Grouping("plate"))
    >>> change_plan(base, {"batch_size": 4, "grouping": {"leak": 0.5}}).grouping
    Grouping(by=('plate',), weights=None, leak=0.5)
    >>> stages = {0: {}, 500: {"grouping": {"leak": 0.5}}}
    >>> [plan.grouping.leak for plan in change_plan(base, {"stages": stages}).plans.values()]
    [0.0, 0.5]
    """
    stages = changes.get(STAGES) if isinstance(changes, Mapping) else None
    if isinstance(changes, Mapping) and stages is not None:
        first = base if isinstance(base, BatchPlan) else base.plans[0]
        common = _changed(first, {name: value for name, value in changes.items() if name != STAGES})
        return _curriculum(common, stages)
    if isinstance(base, BatchPlan):
        return _changed(base, changes)
    return Curriculum({begin: _changed(plan, changes) for begin, plan in base.plans.items()})


def _curriculum(base: BatchPlan, stages: object) -> Curriculum:
    if not isinstance(stages, Mapping):
        raise InvalidInputError(
            f"{STAGES}={stages!r}: a mapping from numbers of batches to changes is allowed; give one."
        )
    return Curriculum({number: _changed(base, changes or {}) for number, changes in stages.items()})


def _changed(base: BatchPlan, changes: object) -> BatchPlan:
    if not isinstance(changes, Mapping):
        raise InvalidInputError(f"A plan is a mapping of {_names(BatchPlan)}, not {changes!r}.")
    changes = {name: value for name, value in changes.items() if (name, value) != (STAGES, None)}
    _check_names("The plan", changes, BatchPlan)
    types = get_type_hints(BatchPlan)
    sections = {
        name: _section(name, getattr(base, name), types[name], value) for name, value in changes.items()
    }
    return replace(base, **sections)


def _section(name: str, base: Any, kind: Any, value: Any) -> Any:
    """Return the value of a field of the plan; ``kind`` is its type, of which one part may be an axis."""
    axis = next((one for one in get_args(kind) if isinstance(one, type) and is_dataclass(one)), None)
    if axis is AtMost:
        caps = [value] if isinstance(value, Mapping) else value
        return () if caps is None else [_made(name, AtMost, one) for one in caps] if _is_list(caps) else caps
    if axis is None or not isinstance(value, Mapping):
        return value
    _check_names(f"{name!r}", value, axis)
    if base is not None:
        return replace(base, **value)
    usual = {"by": USUAL_COLUMN[name]} if name in USUAL_COLUMN else {}
    return _made(name, axis, usual | dict(value))


def _made(name: str, axis: Any, value: Any) -> Any:
    """Return an axis of fields in a file; what is not a mapping is left for the plan to refuse."""
    if not isinstance(value, Mapping):
        return value
    _check_names(f"{name!r}", value, axis)
    try:
        return axis(**value)
    except TypeError as error:
        raise InvalidInputError(f"{name!r} of the plan lacks a field: {error}.") from error


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _check_names(what: str, given: Mapping[Any, Any], kind: type) -> None:
    known = [one.name for one in fields(kind)]
    unknown = [str(name) for name in given if name not in known]
    if unknown:
        raise InvalidInputError(
            f"{what} has no {', '.join(map(repr, unknown))}; it has {_names(kind)}."
            f"{suggest(unknown[0], known)}"
        )


def _names(kind: type) -> str:
    return ", ".join(one.name for one in fields(kind))
