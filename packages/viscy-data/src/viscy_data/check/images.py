"""Findings about images and patches: sizes, slices, borders, shared places, blank and non-finite frames."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from viscy_data.check.finding import Finding, Severity
from viscy_data.check.survey import Survey
from viscy_data.check.words import listed, number, quoted
from viscy_data.tables.crops import common_pixel_size, pixel_size
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.z_policy import FOCUS
from viscy_data.text import shown_lines

_MANY_OUTSIDE: Final = 0.2
_AXES: Final[Mapping[str, int]] = {"frames": 0, "slices": 2, "rows": 3, "columns": 4}

type Kept = tuple[Experiment, Sequence[FovInfo]]


def flat_z(survey: Survey) -> Iterator[Finding]:
    """Say where all cells of a stack lie in one slice, except where the experiments file chose it."""
    for experiment, fovs in _kept(survey):
        policy = experiment.slices.of_channel[experiment.slices.leading]
        if policy == FOCUS or isinstance(policy, int):
            continue
        places = survey.of(experiment.name)
        slices = {one.shape[2] for one in fovs}
        held = {z for one in places if one.z is not None for z in one.z}
        if len(held) != 1 or max(slices) == 1:
            continue
        z = next(iter(held))
        middle = {depth // 2 for depth in slices} == {z}
        name, depth = quoted(experiment.name), max(slices)
        what = f"z is {z} in every row of experiment {name}, whose images have {depth} slices"
        text = (
            f"{what}: the middle, which is taken where tracks have no z."
            if middle
            else f"{what}: a placeholder rather than a place. Leave z out of the tracks (the middle is then "
            "taken), give the right slices, or project the images."
        )
        severity: Severity = "remark" if middle else "problem"
        yield Finding(severity, "z", text, {"experiment": experiment.name, "z": z, "slices": depth})


def pixel_sizes(survey: Survey) -> Iterator[Finding]:
    """Say which pixel sizes are not known, and which differ."""
    kept = list(_kept(survey))
    if not kept:
        return
    sizes = {one.name: {pixel_size(one, info) for info in fovs} for one, fovs in kept}
    unknown = sorted(name for name, held in sizes.items() if None in held)
    if unknown:
        text = f"The pixel size is not known of {listed(unknown)}: patches are taken in pixels there"
        if len(unknown) < len(sizes):
            text += ", beside others of a known size"
        yield Finding("remark", "pixel size", f"{text}. Set pixel_size_um.", {"experiments": unknown})
    common = common_pixel_size([one for one, _ in kept], {one.name: fovs for one, fovs in kept})
    if common is not None:
        known = {size for held in sizes.values() for size in held if size is not None}
        span = f"{min(min(one) for one in known):.4g} to {max(max(one) for one in known):.4g}"
        yield Finding(
            "remark",
            "pixel size",
            f"Pixel sizes differ, {span} micrometres: all patches are taken at {common:.4g}, the coarsest.",
            {"common_um": common},
        )


def shapes(survey: Survey) -> Iterator[Finding]:
    """Say where fields of view differ in size."""
    kept = list(_kept(survey))
    for name, axis in _AXES.items():
        held = {one.name: {info.shape[axis] for info in fovs} for one, fovs in kept}
        lengths = sorted(set().union(*held.values())) if held else []
        if len(lengths) > 1:
            inside = sorted(one for one, found in held.items() if len(found) > 1)
            where = f", within {listed(inside)}" if inside else ", between experiments"
            yield Finding(
                "remark",
                "sizes",
                f"Images differ in their number of {name}, {lengths[0]:,} to {lengths[-1]:,}{where}.",
                {"axis": name, "least": lengths[0], "most": lengths[-1], "experiments": inside},
            )


def notes(survey: Survey) -> Iterator[Finding]:
    """Say what of the stores' metadata was not understood, and what of the tracks was left out."""
    for experiment, fovs in _kept(survey):
        said = dict.fromkeys(note for info in fovs for note in info.notes)
        for note in [*said, *survey.notes.get(experiment.name, ())]:
            text = f"Experiment {quoted(experiment.name)}: {shown_lines(note)}"
            yield Finding("remark", "read", text, {"experiment": experiment.name})


def borders(survey: Survey) -> Iterator[Finding]:
    """Say how many patches lie partly outside their image."""
    told = [one for one in survey.places if one.outside is not None]
    rows = sum(one.rows for one in told)
    if not rows:
        return
    outside = sum(one.outside or 0 for one in told)
    share = outside / rows
    by_experiment = {
        one.name: sum(place.outside or 0 for place in told if place.experiment == one.name)
        for one in survey.experiments
    }
    text = f"{outside:,} of {rows:,} patches ({share:.0%}) lie partly outside their image"
    if share > _MANY_OUTSIDE:
        text += "; a smaller patch_size or border='drop' keeps them out"
    severity: Severity = "remark" if share > _MANY_OUTSIDE else "fine"
    yield Finding(
        severity, "border", f"{text}.", {"outside": outside, "rows": rows, "experiments": by_experiment}
    )


def shared_places(survey: Survey) -> Iterator[Finding]:
    """Say how many rows have the patch of another cell."""
    told = [one for one in survey.places if one.shared is not None]
    by_experiment: dict[str, int] = {}
    for place in told:
        if place.shared:
            by_experiment[place.experiment] = by_experiment.get(place.experiment, 0) + place.shared
    if by_experiment:
        rows = sum(by_experiment.values())
        names = (f"{name}: {count:,}" for name, count in by_experiment.items())
        yield Finding(
            "problem",
            "places",
            f"{number(rows, 'row')} have the very patch of another cell of their frame ({listed(names)}): "
            "cells are listed twice, their places are placeholders, or border='shift' moved them together. "
            "See the tracks.",
            {"rows": rows, "experiments": by_experiment},
        )


def _kept(survey: Survey) -> Iterator[Kept]:
    for one in survey.experiments:
        fovs = [info for info in (survey.fovs or {}).get(one.name, ()) if info.fov not in one.exclude_fovs]
        if fovs:
            yield one, fovs
