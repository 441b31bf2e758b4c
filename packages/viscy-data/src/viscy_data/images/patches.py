"""Index arithmetic of patches: which box of the image belongs to which anchor.

A *patch* is what the model sees, ``patch_size`` pixels at the *common* pixel size. Its *crop* is the
box read from the store: the patch where the pixel sizes agree, otherwise the same physical size in
the store's own pixels, resampled to the patch afterwards. A crop of size ``n`` centred on ``c``
covers the *box* ``[c - n // 2, c - n // 2 + n)``. In y and x it may reach over the border of its image, and
then what is read is smaller, and is folded to the box (:mod:`viscy_data.tables.borders`); with
``border="shift"`` the box is moved to lie inside. In z it is always moved.

Invariants: what is read lies inside its image and holds the centre; a box inside its image is read as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data.checks import is_whole
from viscy_data.columns import CHANNEL, EXPERIMENT, FOV, X_CROP, Y_CROP, T, Z
from viscy_data.errors import InvalidInputError
from viscy_data.images.z_window import ZWindow
from viscy_data.tables.borders import Border, Fold, check_border, fold_of, spans
from viscy_data.tables.crops import crop_size, is_too_large, pixel_size
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.z_policy import KeptPlanes, PlaneTable

type IntArray = NDArray[np.int64]


class Crop(NamedTuple):
    """A box of one field of view at one frame; bounds are [start, stop) in slices and pixels.

    ``channel`` is the place of the only channel among those of the experiment; None: the box is of all.
    """

    experiment: str
    fov: str
    t: int
    z: tuple[int, int]
    y: tuple[int, int]
    x: tuple[int, int]
    channel: int | None = None

    @property
    def box(self) -> tuple[tuple[int, int], ...]:
        """Bounds along Z, Y and X."""
        return self.z, self.y, self.x


@dataclass(frozen=True)
class PatchShape:
    """What a patch shows.

    Attributes
    ----------
    size
        Rows and columns.
    z_window
        Slices, or how many and where (:mod:`viscy_data.images.z_window`).
    common_pixel_size_um
        Micrometres per pixel; None: the store's own pixels.
    border
        What becomes of a patch that reaches over the border of its image.

    Raises
    ------
    InvalidInputError
        Where a length is not a positive integer, or the border's rule is not known.
    """

    size: tuple[int, int]
    z_window: int | ZWindow = 1
    common_pixel_size_um: float | None = None
    border: Border = "reflect"

    def __post_init__(self) -> None:
        lengths: tuple[object, ...] = self.size
        if len(lengths) != 2 or not all(is_whole(length, least=1) for length in lengths):
            raise InvalidInputError(
                f"patch_size={self.size!r} must be two positive integers (rows, columns)."
            )
        object.__setattr__(self, "size", tuple(map(int, self.size)))
        _ = self.window
        check_border(self.border)

    @property
    def window(self) -> ZWindow:
        """The slices."""
        return self.z_window if isinstance(self.z_window, ZWindow) else ZWindow(self.z_window)

    def crop_of(self, experiment: Experiment, fov: FovInfo) -> tuple[int, int, int]:
        """Return slices, rows and columns of the store's pixels that show what a patch shows."""
        own = pixel_size(experiment, fov)
        return (self.window.slices, *crop_size(self.size, own, self.common_pixel_size_um))


type Described = Sequence[tuple[Experiment, Sequence[FovInfo]]]
"""Experiments with the fields of view of their stores."""


@dataclass(frozen=True)
class PatchTable:
    """The crop of every row of an anchors table, computed a batch at a time.

    Attributes
    ----------
    fovs
        Experiment and description of fov number 0, 1, ...
    fov
        (M,) fov number of each row.
    centre
        (M, 4) frame, slice, row and column of each row's centre.
    crop, extent
        (F, 3) slices, rows and columns of a crop, and of an image, of each fov.
    border
        What becomes of a crop that reaches over the border of its image.
    window
        Which slices a crop holds.
    channel
        (M,) place of each row's channel among those of its experiment; None: a row shows all channels.
    planes
        The slices of each channel of a row; None: all channels of a row show one slice.
    """

    fovs: tuple[tuple[str, FovInfo], ...]
    fov: NDArray[np.int32]
    centre: NDArray[np.int32]
    crop: IntArray
    extent: IntArray
    border: Border
    window: ZWindow
    channel: NDArray[np.int16] | None = None
    planes: tuple[PlaneTable, ...] | None = None

    @classmethod
    def build(
        cls,
        anchors: pd.DataFrame,
        described: Described,
        shape: PatchShape,
        planes: KeptPlanes | None = None,
    ) -> "PatchTable":
        """Take the places from an anchors table, and check them against the images.

        Parameters
        ----------
        anchors
            With the columns experiment, fov, t, z, y_crop, x_crop; and channel, where a row is a channel.
        described
            At least the experiments that occur in ``anchors``.
        shape
            Of a patch.
        planes
            Slices of channels that the table's rows do not say, as its file keeps them.

        Raises
        ------
        InvalidInputError
            Where a row names a fov that its store lacks or lies outside its image, or a crop is
            larger than its image.
        """
        known = {
            (experiment.name, fov.fov): (experiment, fov) for experiment, fovs in described for fov in fovs
        }
        used, number = _number_fovs(anchors, known)
        infos = [known[key][1] for key in used]
        crop = np.array([shape.crop_of(*known[key]) for key in used], dtype=np.int64).reshape(-1, 3)
        extent = np.array([info.shape[2:] for info in infos], dtype=np.int64).reshape(-1, 3)
        columns = (anchors[name].to_numpy(dtype=np.int32) for name in (T, Z, Y_CROP, X_CROP))
        fovs = tuple((key[0], info) for key, info in zip(used, infos, strict=True))
        table = cls(fovs, number, np.stack(list(columns), axis=1), crop, extent, shape.border, shape.window)
        by_channel = any(experiment.samples == "channels" for experiment, _ in described)
        if by_channel:
            table = replace(table, channel=_channel_places(anchors, [one for one, _ in described]))
        of_channels = None if by_channel else _planes_of(used, known, planes or {})
        table = replace(table, planes=of_channels)
        table._check()
        return table

    def _check(self) -> None:
        for (experiment, info), crop, extent in zip(
            self.fovs, self.crop.tolist(), self.extent.tolist(), strict=True
        ):
            if crop[0] > extent[0] or is_too_large(crop[1:], extent[1:], self.border):
                raise InvalidInputError(
                    f"z_window and patch_size need {tuple(crop)} slices, rows and columns, but "
                    f"experiment={experiment!r} fov={info.fov!r} has {tuple(extent)}. "
                    "Take fewer or smaller ones."
                )
        self._check_centres()
        if self.border == "drop":
            self._check_inside()

    def _check_centres(self) -> None:
        frames = np.array([info.shape[0] for _, info in self.fovs], dtype=np.int64)
        extents = np.column_stack([frames, self.extent])
        outside = np.flatnonzero(((self.centre < 0) | (self.centre >= extents[self.fov])).any(axis=1))
        if len(outside):
            row = outside[0]
            experiment, info = self.fovs[self.fov[row]]
            raise InvalidInputError(
                f"{len(outside)} rows of the anchors table lie outside their image, the first is row {row}: "
                f"experiment={experiment!r} fov={info.fov!r} t, z, y_crop, x_crop="
                f"{tuple(self.centre[row].tolist())}, image {tuple(extents[self.fov[row]].tolist())}. "
                "Build the table anew from this store."
            )

    def _check_inside(self) -> None:
        """Refuse rows that an index with these patches would have left out: their numbers are the table's."""
        start, stop = self._boxes(np.arange(len(self.fov)))
        outside = np.flatnonzero(((start < 0) | (stop > self.extent[self.fov])).any(axis=1))
        if len(outside):
            raise InvalidInputError(
                f"patch_size: {len(outside)} of {len(self.fov)} patches reach over the border of their "
                "image, and the table was built with border='drop' for smaller ones. Build it with the "
                "patch_size that is to be read, or with border='reflect'."
            )

    def slices(self, rows: IntArray, channel: int | None = None) -> IntArray:
        """Return the slice (B,) of each row, or that of one of its channels."""
        own: IntArray = self.centre[rows, 1].astype(np.int64)
        if channel is None or self.planes is None:
            return own
        t = self.centre[rows, 0].astype(np.int64)
        z: IntArray = self.planes[channel].at(self.fov[rows].astype(np.int64), t, own)
        return z

    def _boxes(
        self, rows: IntArray, shift: IntArray | int = 0, channel: int | None = None
    ) -> tuple[IntArray, IntArray]:
        """Return first pixel, and the one after the last, of the box of each row, (B, 3) each."""
        number = self.fov[rows]
        extent, size = self.extent[number], self.crop[number]
        start = self.centre[rows, 1:] - size // 2
        start[:, 0] = self.window.starts(self.slices(rows, channel), extent[:, 0], shift)
        if self.border == "shift":
            start[:, 1:] = np.clip(start[:, 1:], 0, (extent - size)[:, 1:])
        return start, start + size

    def crops(
        self, rows: IntArray, shift: IntArray | int = 0, channel: int | None = None
    ) -> tuple[list[Crop], dict[int, Fold]]:
        """Return what is read for each row (B,), and the fold of those that need one, by place.

        ``shift`` moves the window of each row (B,) by so many slices. With a ``channel``, crops are of that
        alone, in its own slices.
        """
        number = self.fov[rows]
        extent = self.extent[number]
        start, stop = self._boxes(rows, shift, channel)
        folds: dict[int, Fold] = {}
        over = np.flatnonzero(((start < 0) | (stop > extent)).any(axis=1))
        if len(over):
            boxes = np.stack([start[over], stop[over]], axis=-1)[:, 1:].tolist()
            start[over], stop[over] = spans(start[over], stop[over], extent[over])
            read = np.stack([start[over], stop[over]], axis=-1)[:, 1:].tolist()
            lengths = extent[over, 1:].tolist()
            folds = dict(zip(over.tolist(), map(fold_of, boxes, read, lengths), strict=True))
        bounds = np.stack([start, stop], axis=-1).tolist()
        frames = self.centre[rows, 0].tolist()
        channels = [channel] * len(rows) if self.channel is None else self.channel[rows].tolist()
        crops = [
            Crop(self.fovs[fov][0], self.fovs[fov][1].fov, t, tuple(z), tuple(y), tuple(x), channel)
            for fov, t, (z, y, x), channel in zip(number.tolist(), frames, bounds, channels, strict=True)
        ]
        return crops, folds

    def own_slices(
        self,
        rows: IntArray,
        crops: Sequence[Crop],
        shift: IntArray | int = 0,
        channel: int | None = None,
    ) -> IntArray:
        """Return the place (B,) of each row's own slice in the window that its crop holds."""
        starts = np.array([crop.z[0] for crop in crops], dtype=np.int64)
        return self.window.own(self.slices(rows, channel), starts, shift)


def _planes_of(
    used: Sequence[tuple[str, str]],
    known: Mapping[tuple[str, str], tuple[Experiment, FovInfo]],
    kept: KeptPlanes,
) -> tuple[PlaneTable, ...] | None:
    """Return the slices of each channel, or None where all are those of the rows.

    Raises
    ------
    InvalidInputError
        Where they are needed, and not kept.
    """
    if not any(known[key][0].slices.differs for key in used):
        return None
    by_fov: list[list[list[int] | None]] = []
    for key in used:
        experiment, info = known[key]
        policy = experiment.slices
        if not policy.differs:
            by_fov.append([None] * len(experiment.channels))
        elif key[1] in kept.get(key[0], {}):
            by_fov.append(kept[key[0]][key[1]])
        elif policy.measured:
            raise InvalidInputError(
                f"the slices in focus of experiment={key[0]!r} fov={key[1]!r} are not known: they are kept "
                "in the file of an anchors table that `viscy-data index` built; give its path."
            )
        else:
            by_fov.append(policy.planes_of(info.fov, info.shape[2], {}))
    return tuple(map(PlaneTable.build, zip(*by_fov, strict=True)))


def _channel_places(anchors: pd.DataFrame, experiments: Sequence[Experiment]) -> NDArray[np.int16]:
    """Return the place of each row's channel among those of its experiment."""
    if CHANNEL not in anchors:
        raise InvalidInputError(
            "anchors: 'samples: channels' needs the column channel, which the table lacks. Build it anew."
        )
    experiment, channel = (anchors[name].astype("category").cat for name in (EXPERIMENT, CHANNEL))
    channels = {one.name: one.channels for one in experiments}
    place = np.full((len(experiment.categories) + 1, len(channel.categories) + 1), -1, dtype=np.int16)
    for e, name in enumerate(experiment.categories):
        for c, label in enumerate(channel.categories):
            held = channels.get(str(name), ())
            place[e, c] = held.index(str(label)) if str(label) in held else -1
    found: NDArray[np.int16] = place[experiment.codes.to_numpy(), channel.codes.to_numpy()]
    lost = np.flatnonzero(found < 0)
    if len(lost):
        row = anchors.iloc[lost[0]]
        raise InvalidInputError(
            f"the anchors table names channels that its experiments lack in {len(lost)} rows, the first "
            f"experiment={row[EXPERIMENT]!r} channel={row[CHANNEL]!r}. Build it anew from this file."
        )
    return found


def _number_fovs(
    anchors: pd.DataFrame, known: Mapping[tuple[str, str], object]
) -> tuple[list[tuple[str, str]], NDArray[np.int32]]:
    """Return the (experiment, fov) that occur, and for each row which of them it is."""
    experiment, fov = (anchors[name].astype("category").cat for name in (EXPERIMENT, FOV))
    # A table over pairs of codes instead of sorting rows, of which there may be 100 million.
    names = [(str(e), str(f)) for e in experiment.categories for f in fov.categories]
    codes = [column.codes.to_numpy(dtype=np.int64) for column in (experiment, fov)]
    if any((code < 0).any() for code in codes):
        raise InvalidInputError("the anchors table has rows without experiment or fov. Build it anew.")
    pair = codes[0] * len(fov.categories) + codes[1]
    used = np.flatnonzero(np.bincount(pair, minlength=len(names)))
    lacking = [names[i] for i in used if names[i] not in known]
    if lacking:
        raise InvalidInputError(
            f"the anchors table names {len(lacking)} fields of view that the stores lack, the first "
            f"experiment={lacking[0][0]!r} fov={lacking[0][1]!r}. Build the table anew from these stores."
        )
    number = np.zeros(len(names), dtype=np.int32)
    number[used] = np.arange(len(used))
    return [names[i] for i in used], number[pair]
