"""Findings about the design: conditions that may be the experiment or the well, and what is not known."""

from collections.abc import Iterator, Mapping
from typing import Final

from viscy_data.check.finding import Finding
from viscy_data.check.survey import Survey
from viscy_data.check.words import listed, quoted

_KEYS: Final[Mapping[str, str]] = {
    "interval_minutes": "hours post infection are null, tau is to be given in frames, and a focus is refused",
    "start_hpi": "hours post infection are null, and a focus is refused",
    "condition_wells": "conditions are null and balancing them is refused",
}


def confounded(survey: Survey) -> Iterator[Finding]:
    """Say where a condition is the experiment, or the well, throughout, and where it has one of them."""
    experiments: dict[str, set[str]] = {}
    wells: dict[str, set[tuple[str, str]]] = {}
    conditions: dict[str, set[str]] = {}
    for place in survey.places:
        if place.condition is not None:
            experiments.setdefault(place.condition, set()).add(place.experiment)
            conditions.setdefault(place.experiment, set()).add(place.condition)
            wells.setdefault(place.condition, set()).add((place.experiment, place.well))
    if len(experiments) > 1 and all(len(held) == 1 for held in conditions.values()):
        pairs = (f"{condition}: {', '.join(sorted(held))}" for condition, held in sorted(experiments.items()))
        yield Finding(
            "problem",
            "confounded",
            "The condition is the same as the experiment throughout: each experiment holds one condition "
            f"({listed(pairs)}), so that no batch of one experiment can hold two, and whatever tells "
            "conditions apart "
            "may be the experiment. Add experiments with both, or balance by another column.",
            {"experiments": {name: sorted(held) for name, held in experiments.items()}},
        )
    elif len(conditions) > 1:
        yield from _in_one_experiment(experiments, len(conditions))
    yield from _in_one_well(wells)
    single = sorted(name for name, held in conditions.items() if len(held) == 1)
    if single and len(single) < len(conditions):
        yield Finding(
            "remark",
            "confounded",
            f"Experiments with one condition: {listed(single)}; their batches cannot be balanced.",
            {"experiments": single},
        )
    if len(experiments) == 1:
        yield Finding(
            "remark",
            "condition",
            f"There is one condition, {quoted(next(iter(experiments)))}: nothing to balance or to compare.",
            {"conditions": sorted(experiments)},
        )


def unknown(survey: Survey) -> Iterator[Finding]:
    """Name the keys of the experiments file that are null, and what that takes away."""
    for key, meaning in _KEYS.items():
        names = [one.name for one in survey.experiments if getattr(one, key) is None]
        if names:
            yield Finding(
                "remark",
                "not known",
                f"{key} is not known of {listed(names)}: {meaning}. Set it in the experiments file.",
                {"key": key, "experiments": names},
            )


def _in_one_experiment(experiments: Mapping[str, set[str]], of: int) -> Iterator[Finding]:
    alone = {name: next(iter(held)) for name, held in sorted(experiments.items()) if len(held) == 1}
    if alone:
        pairs = (f"{condition} in {experiment}" for condition, experiment in alone.items())
        yield Finding(
            "remark",
            "confounded",
            f"Conditions of one experiment of {of}: {listed(pairs)}; what tells them apart may be the "
            "experiment.",
            {"conditions": alone},
        )


def _in_one_well(wells: Mapping[str, set[tuple[str, str]]]) -> Iterator[Finding]:
    if len(wells) < 2:
        return
    in_experiment = {
        (condition, experiment): sum(one == experiment for one, _ in held)
        for condition, held in wells.items()
        for experiment in {one for one, _ in held}
    }
    if all(count == 1 for count in in_experiment.values()):
        yield Finding(
            "remark",
            "confounded",
            "The condition is the same as the well throughout: each experiment has one well to a "
            "condition, so that "
            "whatever tells conditions apart may be the well. Add wells of each condition.",
            {
                "conditions": {
                    condition: [f"{e}/{w}" for e, w in sorted(held)] for condition, held in wells.items()
                }
            },
        )
        return
    alone = sorted(f"{condition} of {e}" for (condition, e), count in in_experiment.items() if count == 1)
    if alone:
        yield Finding(
            "remark",
            "confounded",
            f"One well to a condition: {listed(alone)}; what tells them apart may be the well.",
            {"conditions": alone},
        )
