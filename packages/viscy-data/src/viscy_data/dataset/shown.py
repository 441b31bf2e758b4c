"""What the patches of a dataset show: all that one must know to make the same ones of other data.

A patch is numbers, and what they mean is spread over an experiments file, stores and options: which channel
comes first, how large a pixel is, which slices there are. A model that is to be used on other plates needs it
in one place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from viscy_data.images.patches import PatchTable
from viscy_data.tables.borders import Border
from viscy_data.tables.crops import pixel_size
from viscy_data.tables.experiment import Experiment


@dataclass(frozen=True)
class ShownPatches:
    """What patches show.

    Attributes
    ----------
    samples
        Whether a patch shows all channels of a cell, or one of them.
    channels
        The names by which the channel at each place goes, in order: experiments may name it differently. One
        place, with what the channels show, where a patch shows one.
    size
        Rows and columns.
    slices
        Of a patch.
    pixel_size_um
        Micrometres per pixel of patches; None: no experiment says its own.
    slice_um
        Micrometres from slice to slice; None: not known, or not the same everywhere within a tenth.
    depths
        Slices of the shallowest and of the deepest stack.
    sizes_unknown
        Experiments with fields of view whose pixel size is not known: their patches are in their own pixels.
    border
        What becomes of a patch that reaches over the border of its image.
    experiments
        Their names.
    """

    samples: Literal["cells", "channels"]
    channels: tuple[tuple[str, ...], ...]
    size: tuple[int, int]
    slices: int
    pixel_size_um: float | None
    slice_um: float | None
    depths: tuple[int, int]
    sizes_unknown: tuple[str, ...]
    border: Border
    experiments: tuple[str, ...]


def shown_patches(
    experiments: Sequence[Experiment], patches: PatchTable, shape: tuple[int, int, int], common: float | None
) -> ShownPatches:
    """Return what patches of a shape (slices, rows, columns) show.

    Parameters
    ----------
    experiments
        Those that may occur in the table.
    patches
        Of the rows of the table.
    common
        Micrometres per pixel of patches; None: the stores' own pixels.
    """
    by_name = {one.name: one for one in experiments}
    used = list(dict.fromkeys(name for name, _ in patches.fovs))
    sizes = [(name, pixel_size(by_name[name], info)) for name, info in patches.fovs]
    known = [side for _, size in sizes for side in size or ()]
    slices = {info.slice_um for _, info in patches.fovs}
    lengths = [one for one in slices if one is not None]
    alike = len(lengths) == len(slices) and bool(lengths) and max(lengths) <= 1.1 * min(lengths)
    depths = [info.shape[2] for _, info in patches.fovs]
    own = [by_name[name] for name in used]
    return ShownPatches(
        samples=own[0].samples if own else "cells",
        channels=_channels(own),
        size=shape[1:],
        slices=shape[0],
        pixel_size_um=common if common is not None or not known else float(median(known)),
        slice_um=float(median(lengths)) if alike else None,
        depths=(min(depths, default=1), max(depths, default=1)),
        sizes_unknown=tuple(dict.fromkeys(name for name, size in sizes if size is None)),
        border=patches.border,
        experiments=tuple(used),
    )


def _channels(experiments: Sequence[Experiment]) -> tuple[tuple[str, ...], ...]:
    """Return names and markers by place."""
    if not experiments:
        return ()
    if experiments[0].samples == "channels":
        return (tuple(dict.fromkeys(one.marker_of(name) for one in experiments for name in one.channels)),)
    return tuple(
        tuple(
            dict.fromkeys(
                name
                for one, own in zip(experiments, names, strict=True)
                for name in (own, one.marker_of(own))
            )
        )
        for names in zip(*(one.channels for one in experiments), strict=True)
    )
