"""The axes of a GEFF: from what nodes hold to frames, slices and pixels of the store.

An axis names a property of nodes, and may have a unit, a scale that leads to another unit, and an offset
after it. Programs use them differently: a place may be in pixels with the scale that leads to micrometres,
in micrometres already, or in units of the world with the scale that led there (funtracks, whose file says
so). Frames may be counted, or given as times. Each axis becomes one factor and one offset here; where what
the file says has two meanings, or no meaning, it is refused with what to set.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
from pydantic import AllowInfNan, BaseModel

from viscy_data.errors import TracksError
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.lineage import IntArray
from viscy_data.tables.tracks.detections import FloatArray
from viscy_data.tables.tracks.lengths import pixel_length, size_needed
from viscy_data.units import counts_frames, counts_pixels, micrometres, minutes

_SAME: Final = 0.01
"""Sizes that differ by less are one: files round them."""
_NEAR_A_FRAME: Final = 0.1
"""Clocks of microscopes are not exact: a time this near to a frame, in frames, is of that frame."""

_COUNTED: Final = "Is the interval right? If the values count frames, write 'frame' as the axis's unit."

type _Finite = Annotated[float, AllowInfNan(False)]


class Axis(BaseModel):
    """One axis of nodes: the property that holds it, its kind, and what its values are."""

    name: str
    type: str | None = None
    unit: str | None = None
    scale: _Finite | None = None
    scaled_unit: str | None = None
    offset: _Finite | None = None

    def describe(self) -> str:
        """Return what the axis says of itself, for messages."""
        said = {
            "unit": self.unit,
            "scale": self.scale,
            "scaled_unit": self.scaled_unit,
            "offset": self.offset,
        }
        return f"axis {self.name!r} ({', '.join(f'{k} {v!r}' for k, v in said.items() if v is not None)})"


@dataclass(frozen=True)
class AxisContext:
    """What an axis must be compared with.

    Attributes
    ----------
    path
        The file, for messages.
    experiment, info
        Its clock and its sizes of pixels.
    world_scale
        Scale of each axis by which the program that wrote the file multiplied places; empty: none is
        recorded.
    scaled_already
        Whether that program writes places with the scale applied.
    """

    path: Path
    experiment: Experiment
    info: FovInfo
    world_scale: dict[str, float]
    scaled_already: bool

    def refuse(self, axis: Axis, why: str) -> TracksError:
        """Return an error about an axis."""
        return TracksError(f"{self.path}: {axis.describe()}: {why}")


def to_pixels(context: AxisContext, axis: Axis, which: str, values: FloatArray) -> FloatArray:
    """Return places along ``z``, ``y`` or ``x`` in slices or pixels of the store.

    Raises
    ------
    TracksError
        Where the axis cannot be understood, contradicts the store, or the size of a pixel is not known.
    """
    unit = context.experiment.track_unit
    if unit is not None:  # the experiments file overrules what the GEFF says
        axis = Axis(name=axis.name, unit=unit)
    if axis.unit is not None and counts_pixels(axis.unit):
        _check_same_image(context, axis, which)
        return values + _offset_in_pixels(context, axis, which)
    if axis.unit is not None:
        return _lengths(context, axis, which, values, axis.unit)
    return _without_unit(context, axis, which, values)


def unit_stated(context: AxisContext, axis: Axis) -> bool:
    """Say whether it is known what the values of an axis are, rather than supposed."""
    known = (
        context.experiment.track_unit or axis.unit or axis.scaled_unit or context.world_scale.get(axis.name)
    )
    return bool(known) or axis.scale not in (None, 1)


def to_frames(context: AxisContext, axis: Axis, values: FloatArray, ids: IntArray) -> IntArray:
    """Return the frame of each node (n,).

    Raises
    ------
    TracksError
        Where times cannot be told apart from frames, or lie between frames.
    """
    per_frame = _frame_minutes(context, axis)
    if per_frame is None:
        frames, near = values + (axis.offset or 0), 0.0
    else:
        factor, offset = per_frame
        frames, near = values * factor + offset, _NEAR_A_FRAME
    whole = np.round(frames)
    wrong = np.flatnonzero(~(np.abs(frames - whole) <= near))  # NaN too
    interval = f"interval_minutes={context.experiment.interval_minutes}"
    if len(wrong):
        i = wrong[0]
        time = f" at {interval}: it would be frame {frames[i]:.6g}. {_COUNTED}" if per_frame else ""
        raise TracksError(f"{context.path}: node {ids[i]}, {axis.name!r}: {values[i]} is not a frame{time}")
    if per_frame and len(np.unique(values)) > len(np.unique(whole)):
        raise context.refuse(axis, f"different times are of one frame at {interval}. {_COUNTED}")
    if len(whole) and np.abs(whole).max() > np.iinfo(np.int32).max:
        raise context.refuse(axis, f"{np.abs(whole).max():g} is not a frame of a movie")
    return whole.astype(np.int64)


def _frame_minutes(context: AxisContext, axis: Axis) -> tuple[float, float] | None:
    """Return factor and offset from the values of a time axis to frames; None: they count frames."""
    interval = context.experiment.interval_minutes
    scale = 1.0 if axis.scale is None else axis.scale
    scaled = None if axis.scaled_unit is None else minutes(axis.scaled_unit)
    if axis.unit is None and scale != 1 and scaled is not None:
        return _times(context, axis, scale * scaled, (axis.offset or 0) * scaled)
    if axis.unit is None or counts_frames(axis.unit):
        if scaled is not None and interval and not _same(scale * scaled, interval):
            raise context.refuse(
                axis,
                f"a frame is {scale * scaled:g} minutes, but interval_minutes={interval:g}; is it another "
                "movie?",
            )
        if scaled is None and scale != 1:
            raise context.refuse(axis, "a scale of frames without a unit that is known; count frames from 0")
        if scaled is not None and axis.offset:
            return (1.0, axis.offset / scale) if scale else None
        return None
    own = minutes(axis.unit)
    if own is None:
        raise context.refuse(
            axis,
            "no unit of time that is known: 'frame', or one such as 'second', 'minute' or 'hour' is needed",
        )
    if scaled is not None and not _same(scale * scaled, own):
        raise context.refuse(axis, "unit and scaled_unit contradict each other: times are in one of them")
    return _times(context, axis, own, (axis.offset or 0) * (own if scaled is None else scaled))


def _times(context: AxisContext, axis: Axis, minutes_each: float, offset: float) -> tuple[float, float]:
    interval = context.experiment.interval_minutes
    if not interval:
        raise context.refuse(
            axis,
            "these are times, and interval_minutes is not known, or 0: set it in the experiments file, or "
            "write frames",
        )
    return minutes_each / interval, offset / interval


def _check_same_image(context: AxisContext, axis: Axis, which: str) -> None:
    """Refuse pixels of another size than those of the store."""
    stated = _scaled_length(axis)
    size = pixel_length(context.experiment, context.info, which)
    flat = which == "z" and context.info.shape[2] == 1
    if stated is not None and size is not None and not flat and not _same(stated, size):
        raise context.refuse(
            axis,
            f"a pixel has {stated:g} micrometres, one of fov {context.info.fov!r} {size:g}: is it another "
            "image, or "
            "one of another resolution? Correct pixel_size_um, or set track_unit to 'pixel' to take "
            "places as "
            "they are",
        )


def _offset_in_pixels(context: AxisContext, axis: Axis, which: str) -> float:
    if not axis.offset:
        return 0.0
    if axis.scale in (None, 1) and axis.scaled_unit is None:
        return axis.offset
    length = None if axis.scaled_unit is None else micrometres(axis.scaled_unit)
    size = pixel_length(context.experiment, context.info, which)
    if length is None or size is None:
        raise context.refuse(axis, f"an offset that cannot be turned into pixels: {size_needed(which)}")
    return axis.offset * length / size


def _lengths(context: AxisContext, axis: Axis, which: str, values: FloatArray, unit: str) -> FloatArray:
    length = micrometres(unit)
    size = pixel_length(context.experiment, context.info, which)
    if length is None or size is None:
        raise context.refuse(
            axis,
            "pixels are needed, or a unit of length such as 'micrometer' where the size of a pixel is known: "
            + (size_needed(which) if length is not None else "set track_unit in the experiments file"),
        )
    scaled = _scaled_length(axis)
    if scaled is not None and not _same(scaled, length):
        raise context.refuse(
            axis, "unit and scaled_unit contradict each other: set track_unit in the experiments file"
        )
    if axis.offset and axis.scaled_unit is None and axis.scale not in (None, 1):
        raise context.refuse(axis, "an offset without a unit that is known: set scaled_unit, or leave it out")
    other = None if axis.scaled_unit is None else micrometres(axis.scaled_unit)
    offset = (axis.offset or 0.0) * (length if other is None else other)
    return (values * length + offset) / size


def _without_unit(context: AxisContext, axis: Axis, which: str, values: FloatArray) -> FloatArray:
    scale = 1.0 if axis.scale is None else axis.scale
    if axis.scaled_unit is not None:
        placed = values * scale + (axis.offset or 0.0)
        if counts_pixels(axis.scaled_unit):
            return placed
        return _lengths(context, Axis(name=axis.name, unit=axis.scaled_unit), which, placed, axis.scaled_unit)
    applied = context.world_scale.get(axis.name, scale if context.scaled_already else 1.0)
    if applied != 1 and axis.scale not in (None, 1) and not _same(applied, scale):
        raise context.refuse(axis, f"another scale is recorded beside it, {applied:g}: set track_unit")
    if applied == 1 and scale != 1:
        raise context.refuse(
            axis,
            "a scale without a unit does not say whether places are pixels or have been scaled. Set "
            "track_unit in "
            "the experiments file to 'pixel', or to their unit, such as 'micrometer'",
        )
    if not applied > 0:
        raise context.refuse(axis, f"the scale {applied:g} is not above 0")
    return (values + (axis.offset or 0.0)) / applied


def _scaled_length(axis: Axis) -> float | None:
    """Return the micrometres of 1 of an axis's values by its scale; None: it does not say."""
    length = None if axis.scaled_unit is None else micrometres(axis.scaled_unit)
    if length is None:
        return None
    return (1.0 if axis.scale is None else axis.scale) * length


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= _SAME * max(abs(one), abs(other))


def read_world_scale(extra: Any, axes: list[Axis]) -> tuple[dict[str, float], bool]:
    """Return the scales that places were multiplied by, by axis, and whether the program is one that does so.

    funtracks writes places in units of the world; newer files keep the scale, one for each axis, as
    tracksdata's.
    """
    if not isinstance(extra, dict):
        return {}, False
    record = extra.get("tracksdata")
    scale = record.get("scale") if isinstance(record, dict) else None
    ours = isinstance(extra.get("funtracks"), dict)
    if not isinstance(scale, list) or len(scale) != len(axes):
        return {}, ours
    numbers = all(isinstance(one, int | float) and 0 < one < np.inf for one in scale)
    if not numbers:
        return {}, ours
    return {axis.name: float(one) for axis, one in zip(axes, scale, strict=True) if axis.type != "time"}, ours


__all__ = ["Axis", "AxisContext", "read_world_scale", "to_frames", "to_pixels", "unit_stated"]
