"""The slices in focus of an index: those that stores say, and those that reading their images found."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from viscy_data.errors import InvalidInputError, StoreError
from viscy_data.images.focus import FocusCurve
from viscy_data.images.store_metadata import StoredFocus, read_stored_focus
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.z_policy import Planes

type Curves = Mapping[str, Mapping[str, Sequence[FocusCurve]]]
"""What was measured of each channel, by experiment and field of view."""


def focus_path(anchors_path: str | Path) -> Path:
    """Return where the page of an anchors table's focus curves is written.

    Examples
    --------
    >>> focus_path("run/anchors.parquet").name
    'anchors.focus.html'
    """
    path = Path(anchors_path)
    return path.with_name(f"{path.stem}.focus.html")


def refuse_unmeasured(experiments: Sequence[Experiment], *, statistics: bool) -> None:
    """Refuse experiments whose focus is to be measured, where no image is read.

    Raises
    ------
    InvalidInputError
        Naming them.
    """
    names = [one.name for one in experiments if one.slices.estimated]
    if names and not statistics:
        raise InvalidInputError(
            f"statistics=False: the focus of {', '.join(names[:5])} is measured while images are read; index "
            "with statistics, or take it from the store (store_attributes: [focus_slice])."
        )


def stored_planes(
    experiments: Sequence[Experiment], fovs: Mapping[str, Sequence[FovInfo]]
) -> dict[str, Planes]:
    """Return the slices that stores say, by the experiments that ask for them.

    Raises
    ------
    StoreError
        Where a store does not say the slice of a frame.
    """
    return {
        one.name: {
            info.fov: _stored(one, info) for info in fovs[one.name] if info.fov not in one.exclude_fovs
        }
        for one in experiments
        if one.slices.from_store
    }


def _stored(experiment: Experiment, info: FovInfo) -> dict[str, list[int]]:
    said = read_stored_focus(experiment, info)
    found = {}
    for channel in dict.fromkeys(experiment.slices.measured.values()):
        any_channel = experiment.z == "focus" and experiment.focus_channel is None
        known = next(iter(said.values()), None) if any_channel else said.get(channel)
        found[channel] = _each_frame(experiment, info, channel, known)
    return found


def _each_frame(experiment: Experiment, info: FovInfo, channel: str, said: StoredFocus | None) -> list[int]:
    planes = [None if said is None else said.at(t) for t in range(info.shape[0])]
    if any(z is None for z in planes):
        raise StoreError(
            f"experiment={experiment.name!r} fov={info.fov!r} channel={channel!r}: the store's attributes do "
            f"not say the focus of frame {planes.index(None)}; leave 'focus_slice' out of store_attributes, "
            "so that it is measured."
        )
    return [int(np.floor(z + 0.5)) for z in planes if z is not None]


def measured_planes(curves: Curves) -> dict[str, Planes]:
    """Return the slices that were measured, by experiment."""
    return {
        name: {fov: {one.channel: one.planes for one in found} for fov, found in fovs.items()}
        for name, fovs in curves.items()
        if any(fovs.values())
    }


def focus_notes(curves: Curves) -> Iterator[str]:
    """Yield where the focus lies, and a warning where it is at the end of the stack, of each experiment."""
    for name, fovs in curves.items():
        for channel in dict.fromkeys(one.channel for found in fovs.values() for one in found):
            own = [one for found in fovs.values() for one in found if one.channel == channel]
            planes = np.concatenate([one.planes for one in own])
            yield (
                f"{name}: {channel} is in focus in slices {planes.min()} to {planes.max()}, median "
                f"{np.median(planes):g}"
            )
            at_end = sum(z in (0, len(one.mean) - 1) for one in own if len(one.mean) > 2 for z in one.planes)
            if at_end > len(planes) / 10:
                yield (
                    f"{name}: {channel} is sharpest in the first or last slice of {at_end} of {len(planes)} "
                    "frames: the stack may end before the focus, or the channel has its least contrast in "
                    "focus (bright field); look at the curves, or set focus_channel"
                )


def planes_kept(
    experiments: Sequence[Experiment], fovs: Mapping[str, Sequence[FovInfo]], planes: Mapping[str, Planes]
) -> dict[str, dict[str, list[list[int] | None]]]:
    """Return slices of each channel that rows of the table do not say, by experiment and field of view."""
    return {
        one.name: {
            info.fov: one.slices.planes_of(info.fov, info.shape[2], planes.get(one.name, {}))
            for info in fovs[one.name]
            if info.fov not in one.exclude_fovs
        }
        for one in experiments
        if one.samples == "cells" and one.slices.differs
    }
