"""What reading all images of an index showed, and what becomes of it.

Blank frames and pixels that are not finite are known only when every frame has been read, which takes hours,
and options say what becomes of them: refused, left out, kept, filled. If that were decided where frames are
read, each change of mind would read them again.

So reading notes what is odd and judges nothing (:mod:`viscy_data.images.odd_frames`), and all that follows
from the notes is here: the errors, the rows that the table leaves out, the counts that it keeps, and what the
user is told.

An index that was refused for its pixels therefore goes on with ``non_finite="fill"`` from the statistics that
it has finished. The cost: damage in the first frame is reported after the last one was read.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import pandas as pd

from viscy_data.images.normalization import Normalizer
from viscy_data.images.odd_frames import OddFrame, blank_frames, refuse_non_finite, say_blank
from viscy_data.images.statistics import check_finite
from viscy_data.tables.experiment import Experiment, FovInfo


def check_images(
    statistics: pd.DataFrame, odd: Mapping[str, Sequence[OddFrame]], non_finite: Literal["error", "fill"]
) -> None:
    """Refuse pixels that are not finite, unless they are filled, and a field of view that has no other."""
    if non_finite == "error":
        refuse_non_finite(one for frames in odd.values() for one in frames)
    for row in statistics[statistics["mean"].isna()].to_dict("records"):
        check_finite({str(name): value for name, value in row.items()})


def check_stored(
    statistics: pd.DataFrame, experiments: Sequence[Experiment], fovs: Mapping[str, Sequence[FovInfo]]
) -> None:
    """Refuse statistics of stores' attributes that lack what the experiments file asks for."""
    for one in experiments:
        if "normalization" in one.store_attributes:
            kept = [(one.name, info) for info in fovs[one.name] if info.fov not in one.exclude_fovs]
            Normalizer.build(statistics, {one.name: one.normalizations}, kept, {one.name: one.channels})


def _blank(odd: Mapping[str, Sequence[OddFrame]], experiment: Experiment) -> tuple[tuple[str, int], ...]:

    return blank_frames(odd[experiment.name])


def left_out(
    odd: Mapping[str, Sequence[OddFrame]], experiment: Experiment
) -> tuple[tuple[str, int], ...] | tuple[tuple[str, int, str], ...]:
    """Return the images of which no row is kept: frames, or those of a channel where a row is one."""
    if experiment.samples == "cells":
        return _blank(odd, experiment)
    return tuple(sorted({(one.fov, one.t, one.channel) for one in odd[experiment.name] if one.blank}))


def count_frames(experiment: Experiment, fovs: Sequence[FovInfo], odd: Sequence[OddFrame]) -> dict[str, int]:
    """Count the frames of an experiment: all, blank ones, and those with pixels that are not finite."""
    kept = [info for info in fovs if info.fov not in experiment.exclude_fovs]
    bad = {(one.fov, one.t) for one in odd if one.non_finite}
    blank = {(one.fov, one.t) for one in odd if one.blank}
    return {"frames": sum(info.shape[0] for info in kept), "blank": len(blank), "non_finite": len(bad)}


def image_notes(
    experiments: Sequence[Experiment],
    odd: Mapping[str, Sequence[OddFrame]] | None,
    blank_frames: Literal["drop", "keep"],
) -> Iterator[str]:
    """Yield what reading all images showed, or that it was not done."""
    if odd is None:
        yield "no image was read: blank frames, and pixels that are not finite, are not known"
        return
    done = "statistics and anchors leave them out" if blank_frames == "drop" else "statistics leave them out"
    for experiment in experiments:
        blank = _blank(odd, experiment)
        if blank:
            yield f"{experiment.name}: {len(blank)} blank frames ({done}): {say_blank(blank)}"
        filled = [one for one in odd[experiment.name] if one.non_finite]
        if filled:
            pixels = sum(one.non_finite for one in filled)
            yield f"{experiment.name}: {pixels:,} pixels of {len(filled)} frames are not finite and filled"
        sliced = [one for one in odd[experiment.name] if one.blank_slices]
        if sliced:
            slices, first = sum(one.blank_slices for one in sliced), sliced[0]
            where = f"first {first.fov} t={first.t} {first.channel}"
            yield f"{experiment.name}: {slices:,} blank slices in frames that are kept ({where})"
