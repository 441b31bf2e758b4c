"""A batch plan in YAML: the fields of `BatchPlan`, section by section.

A file changes a plan that is there already, so that it may be as short as what differs:

    batch_size: 64
    grouping: {leak: 0.2}
    focus: null

A section that the plan has keeps the fields that the file does not name; null switches an axis off; a
section that the plan lacks takes the usual column where ``by`` is not given.

A field that may follow a `Schedule` takes one as a mapping with the single key ``schedule``:

    grouping: {leak: {schedule: {points: {0: 0.0, 20: 0.3}, unit: epochs, shape: cosine}}}
    balance: {ratio: {schedule: {points: {0: natural, 10: null}}}}
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

from viscy_data.columns import CONDITION, EXPERIMENT, HOURS
from viscy_data.composition.plan import BatchPlan
from viscy_data.composition.schedule import Schedule
from viscy_data.errors import InvalidInputError, suggest
from viscy_data.yaml_file import read_yaml

USUAL_COLUMN: Final = {"grouping": EXPERIMENT, "balance": CONDITION, "focus": HOURS}
"""The column that the sampler's flat arguments use, by section."""


def read_plan(path: Path, base: BatchPlan) -> BatchPlan:
    """Return ``base`` as a plan file changes it.

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


def change_plan(base: BatchPlan, changes: object) -> BatchPlan:
    """Return ``base`` with fields replaced; a mapping changes fields of a section.

    Examples
    --------
    >>> from viscy_data.composition import Grouping
    >>> base = BatchPlan(8, grouping=Grouping("plate"))
    >>> change_plan(base, {"batch_size": 4, "grouping": {"leak": 0.5}}).grouping
    Grouping(by=('plate',), weights=None, leak=0.5)
    """
    if not isinstance(changes, Mapping):
        raise InvalidInputError(f"A plan is a mapping of {_names(BatchPlan)}, not {changes!r}.")
    _check_names("The plan", changes, BatchPlan)
    types = get_type_hints(BatchPlan)
    sections = {
        name: _section(name, getattr(base, name), types[name], value) for name, value in changes.items()
    }
    return replace(base, **sections)


def _section(name: str, base: Any, kind: Any, value: Any) -> Any:
    """Return the value of a field of the plan; ``kind`` is its type, of which one part may be an axis."""
    axis = next((one for one in get_args(kind) if isinstance(one, type) and is_dataclass(one)), None)
    if axis is None or not isinstance(value, Mapping):
        return value
    _check_names(f"{name!r}", value, axis)
    given = {field: _schedule(f"{name}.{field}", one) for field, one in value.items()}
    if base is not None:
        return replace(base, **given)
    usual = {"by": USUAL_COLUMN[name]} if name in USUAL_COLUMN else {}
    try:
        return axis(**(usual | given))
    except TypeError as error:
        raise InvalidInputError(f"{name!r} of the plan lacks a field: {error}.") from error


def _schedule(name: str, value: Any) -> Any:
    """Return the schedule that a value is written as, or the value."""
    is_one = (
        isinstance(value, Mapping) and set(value) == {"schedule"} and isinstance(value["schedule"], Mapping)
    )
    if not is_one:
        return value
    written = value["schedule"]
    _check_names(f"The schedule of {name!r}", written, Schedule)
    if "points" not in written:
        raise InvalidInputError(
            f"The schedule of {name!r} lacks 'points', a mapping from positions to values."
        )
    try:
        return Schedule(**written)
    except InvalidInputError as error:
        raise InvalidInputError(f"{name}: {error}") from error


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
