"""A plan in a line for people: what a batch holds, in anchors, as the plan's fractions are rounded."""

from viscy_data.composition.axes import AtMost, By, Locality
from viscy_data.composition.counts import PartSizes
from viscy_data.composition.plan import BatchPlan


def describe_plan(plan: BatchPlan) -> str:
    """Return a line that says what a batch holds, axis by axis.

    Parameters
    ----------
    plan
        What is asked of every batch; of a curriculum, the plan of a stage.

    Examples
    --------
    >>> from viscy_data import Focus, Grouping
    >>> describe_plan(BatchPlan(64, grouping=Grouping("experiment"), focus=Focus("hours")))
    '64 anchors of one experiment, 45 within 2 of one time of hours'
    >>> describe_plan(BatchPlan(8))
    '8 anchors of the whole table'
    """
    size, group, window = plan.batch_size, plan.grouping, plan._window
    parts = PartSizes.of(size, plan)
    of = "the whole table" if group is None else f"one {_named(group.by)}"
    said = [f"{_counted(size, 'anchor')} of {of}"]
    if group is not None and group.weights is not None:
        said.append("groups weighted")
    if leaked := sum(parts.leaked):
        said.append(f"{leaked} of them from others")
    if plan.balance is not None:
        ratio = plan.balance.ratio
        how = "equal" if ratio is None else ratio if isinstance(ratio, str) else "stated"
        said.append(f"{how} shares of {_named(plan.balance.by)}")
    if window is not None:
        near = parts.own[0] + parts.leaked[0]
        said.append(f"{near} within {window.window_hours:g} of one time of {window.by}")
    clock = "" if plan.focus is None else plan.focus.by
    said += [_cap(cap, clock) for cap in plan._caps]
    if plan.weighting is not None:
        said.append(f"in proportion to {plan.weighting.by}")
    if plan.locality is not None:
        said.append(_few(plan.locality))
    if plan.span > 1:
        together = " that share caps and frames" if plan._caps or plan.locality else ""
        said.append(f"in steps of {plan.span} batches{together}")
    return ", ".join(said)


def _named(columns: By) -> str:
    """Say one column, or several whose combinations are meant."""
    return columns if isinstance(columns, str) else " x ".join(columns)


def _cap(cap: AtMost, clock: str) -> str:
    near = "" if cap.min_hours is None else f" closer than {cap.min_hours:g} in {clock}"
    return f"at most {cap.count} of one {_named(cap.by)}{near}"


def _few(locality: Locality) -> str:
    frames = locality.frames is not None
    count = _counted(locality._most, "frame" if frames else "field") + ("" if frames else " of view")
    stay = f", each for {locality.hold} steps" if locality.hold > 1 else ""
    return f"from at most {count}{stay}"


def _counted(count: int, kind: str) -> str:
    return f"{count} {kind}" + ("" if count == 1 else "s")
