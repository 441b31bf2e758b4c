"""A plan on the command line: ``balance.by=drug`` changes one field, as a line of a plan file would.

To try another column, or to see what a leak of a tenth does, is a matter of one field; a file for it is more
to write than there is to say. So an option names the field, with dots between section and field, and its
value in YAML. Several options together are a plan file of those lines.
"""

from collections.abc import Sequence
from typing import Any

import yaml

from viscy_data.composition.curriculum import Curriculum
from viscy_data.composition.plan import BatchPlan
from viscy_data.errors import InvalidInputError
from viscy_data.files.yaml_file import load_yaml, shown_error
from viscy_data.sampling.plan_file import change_plan
from viscy_data.text import shown


def set_fields(base: BatchPlan | Curriculum, settings: Sequence[str]) -> BatchPlan | Curriculum:
    """Return a plan with fields replaced, each given as ``SECTION.FIELD=VALUE`` or ``FIELD=VALUE``.

    Raises
    ------
    InvalidInputError
        A setting has not this form, two are of one field, or the plan refuses a value.

    Examples
    --------
    >>> plan = set_fields(BatchPlan(8), ["balance.by=drug", "weighting.by=weight", "grouping.leak=0.1"])
    >>> plan.balance.by, plan.weighting.by, plan.grouping.leak
    (('drug',), 'weight', 0.1)
    """
    if not settings:
        return base
    try:
        return change_plan(base, changes_of(settings))
    except InvalidInputError as error:
        raise InvalidInputError(f"set: {error}") from error


def changes_of(settings: Sequence[str]) -> dict[str, Any]:
    """Return what settings change, as a plan file holds it.

    Examples
    --------
    >>> changes_of(["balance.by=[drug, dose_um]", "focus=null"])
    {'balance': {'by': ['drug', 'dose_um']}, 'focus': None}
    """
    changes: dict[str, Any] = {}
    for setting in settings:
        path, sign, text = setting.partition("=")
        names = path.strip().split(".")
        if not sign or not all(names):
            raise InvalidInputError(
                f"set={shown(setting)!r}: SECTION.FIELD=VALUE is needed, such as balance.by=drug, "
                "grouping.leak=0.2 or focus=null."
            )
        _put(changes, names, _value(setting, text), setting)
    return changes


def _value(setting: str, text: str) -> Any:
    try:
        return load_yaml(text)
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidInputError(
            f"set={shown(setting)!r}: the value is not valid YAML: {shown_error(error)}; put text in quotes."
        ) from error


def _put(changes: dict[str, Any], names: Sequence[str], value: Any, setting: str) -> None:
    *sections, last = names
    inside: Any = changes
    for name in sections:
        inside = inside.setdefault(name, {}) if isinstance(inside, dict) else None
    if not isinstance(inside, dict) or last in inside:
        raise InvalidInputError(f"set={shown(setting)!r}: the field is set twice; give it once.")
    inside[last] = value
