"""Opening a dataset: what the call leaves open, the anchors file says.

What patches show is said in up to three places: in the call, in the anchors file and in the experiments
file that it keeps. A table that was made in memory has no file at all. An option that each reader looked up
for itself would sooner or later be read in two ways, and a patch at the wrong pixel size, or normalised by
another method, looks right.

So each option is settled once, when a dataset is opened: what the call says, else what the file says. What
neither says follows from the experiments where that is possible, such as the common pixel size, and is
refused where it is not. Here are the steps; `AnchorDataset.__init__` is their order.

What is drawn later therefore never asks where an option came from, and arguments that do not fit the stores
end before the first pixel is read. The cost: the metadata of every store that has rows in the table (of every
store, where there is no file to say the common pixel size) is read when a dataset is opened.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from viscy_data.checks import is_finite_number
from viscy_data.columns import EXPERIMENT
from viscy_data.errors import InvalidInputError
from viscy_data.images.normalization import Normalizer
from viscy_data.images.patches import PatchShape, PatchTable
from viscy_data.images.store import StoreReader
from viscy_data.images.z_window import ZWindow
from viscy_data.tables.anchors.read import AnchorsMetadata, read_anchors, read_metadata
from viscy_data.tables.crops import common_pixel_size, pixel_size
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.experiments import Experiments
from viscy_data.tables.normalizations import (
    Normalization,
    NormalizationChoice,
    disagreements,
    normalizations_of,
)


def load_table(anchors: str | Path | pd.DataFrame) -> tuple[pd.DataFrame, AnchorsMetadata | None]:
    """Return the anchors, and what their file says; None: there is no file."""
    table = anchors if isinstance(anchors, pd.DataFrame) else read_anchors(anchors)
    if len(table) == 0:
        raise InvalidInputError("the anchors table is empty; index experiments that have tracks.")
    return table, None if isinstance(anchors, pd.DataFrame) else read_metadata(anchors)


def given[V](
    name: str, value: V | None, file: AnchorsMetadata | None, of: Callable[[AnchorsMetadata], V]
) -> V:
    """Return ``value``, or what the file says in its place."""
    if value is not None:
        return value
    if file is None:
        raise InvalidInputError(f"{name}=None: it must be given where anchors is a table and not a file.")
    return of(file)


def cut_patches(
    anchors: pd.DataFrame,
    experiments: Experiments,
    reader: StoreReader,
    file: AnchorsMetadata | None,
    size: tuple[tuple[int, int], ZWindow],
    pixel_size_um: float | None,
) -> tuple[PatchTable, float | None]:
    """Return the patches, and the micrometres per pixel at which they are cut."""
    held = set(anchors[EXPERIMENT].unique())
    # The file says the common pixel size; without it all experiments decide, as when indexing.
    wanted = [one for one in experiments.experiments if file is None or one.name in held]
    fovs = {one.name: reader.fovs(one.name) for one in wanted}
    common = common_pixel_size(wanted, fovs) if file is None else file.common_pixel_size_um
    if pixel_size_um is not None:
        _check_pixel_size(pixel_size_um, wanted, fovs)
        common = pixel_size_um
    shape = PatchShape(*size, common, "reflect" if file is None else file.border)
    planes = file.planes if file else None
    return PatchTable.build(anchors, [(one, fovs[one.name]) for one in wanted], shape, planes), common


def _check_pixel_size(
    asked: float, experiments: Sequence[Experiment], fovs: Mapping[str, Sequence[FovInfo]]
) -> None:
    if not (is_finite_number(asked) and asked > 0):
        raise InvalidInputError(f"pixel_size_um={asked!r}: micrometres per pixel, above 0, are allowed.")
    unknown = [
        one.name
        for one in experiments
        if any(pixel_size(one, info) is None for info in fovs[one.name] if info.fov not in one.exclude_fovs)
    ]
    if unknown:
        raise InvalidInputError(
            f"pixel_size_um={asked:g}: the pixel size of {', '.join(unknown[:5])} is not known, so that "
            "patches of another cannot be cut; set pixel_size_um in the experiments file and index again."
        )


def normalization_by_experiment(
    normalization: NormalizationChoice | None, experiments: Experiments
) -> dict[str, tuple[Normalization, ...]]:
    """Return how each channel of each experiment is normalised."""
    if normalization is None:
        return {one.name: one.normalizations for one in experiments.experiments}
    names = list(dict.fromkeys(name for one in experiments.experiments for name in one.channels))
    chosen = {
        one.name: normalizations_of(normalization, one.channels, names) for one in experiments.experiments
    }
    channels = {one.name: one.channels for one in experiments.experiments}
    if experiments.samples == "cells":
        problems = disagreements({name: (channels[name], own) for name, own in chosen.items()})
        if problems:
            raise InvalidInputError(f"{problems[0]}; name both.")
    return chosen


def normalization_by_channel(
    choices: Mapping[str, tuple[Normalization, ...]], experiments: Experiments
) -> tuple[Normalization, ...] | dict[str, Normalization]:
    """Return what a patch's channels have in common in all experiments: their places, or their names."""
    if experiments.samples == "cells":
        return next(iter(choices.values()))
    return {
        name: choice
        for one in reversed(experiments.experiments)
        for name, choice in zip(one.channels, choices[one.name], strict=True)
    }


def build_normalizer(
    choices: Mapping[str, Sequence[Normalization]],
    statistics: pd.DataFrame | None,
    patches: PatchTable,
    experiments: Experiments,
) -> Normalizer:
    """Return what normalises the patches of each field of view."""
    if statistics is None:
        raise InvalidInputError(
            "statistics=None: they must be given where anchors is a table and not a file."
        )
    channels = {one.name: one.channels for one in experiments.experiments}
    return Normalizer.build(statistics, choices, patches.fovs, channels)
