"""Short texts that tell two plans or two tables apart."""

import json
from dataclasses import fields
from hashlib import blake2b
from numbers import Real
from typing import Any

import numpy as np

from viscy_data.composition.curriculum import Curriculum
from viscy_data.composition.layout import AnchorLayout
from viscy_data.composition.plan import BatchPlan


def plan_text(plan: BatchPlan | Curriculum) -> str:
    """Return the plan as JSON with sorted keys: equal plans give equal texts.

    Examples
    --------
    >>> plan_text(BatchPlan(2))[:54]
    '{"at_most": [], "balance": null, "batch_size": 2, "foc'
    """
    return json.dumps(_plain(plan), sort_keys=True)


def table_fingerprint(layout: AnchorLayout) -> str:
    """Return 32 hexadecimal digits of N and the values of the columns that the layout was built from.

    Dtypes do not matter; hours count as float32.
    """
    digest = blake2b(digest_size=16)
    labels = (layout.groups, layout.strata)
    digest.update(repr([(label.names, tuple(map(_same, label.values))) for label in labels]).encode())
    digest.update(layout.start.astype("<i8").tobytes())
    digest.update(layout.rows.astype("<u4", copy=False).data)
    if layout.clock is not None:
        digest.update(layout.clock.run_time.astype("<f4").tobytes())
        digest.update(layout.clock.run_start.astype("<u4", copy=False).data)
    for cap in layout.caps:
        digest.update(cap.code.astype("<u4", copy=False).data)
    if layout.units is not None:
        digest.update(layout.units.start.astype("<i8", copy=False).data)
    if layout.slots is not None:
        digest.update(layout.slots.first.astype("<u4", copy=False).data)
    return digest.hexdigest()


def _same(value: Any) -> Any:
    """Return a value that is equal for equal values of any dtype."""
    if isinstance(value, tuple):
        return tuple(map(_same, value))
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {
            str(key): float(part) if isinstance(part, Real) else _plain(part) for key, part in value.items()
        }
    if isinstance(value, (tuple, list)):
        return [_plain(part) for part in value]
    return value.item() if isinstance(value, np.generic) else value
