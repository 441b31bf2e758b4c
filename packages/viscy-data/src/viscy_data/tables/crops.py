"""How much of a store a patch covers, and where its centre may be.

A *patch* is what the model sees. Its *crop* is the box of the store that shows it: the patch itself
where pixel sizes agree or are not known, otherwise the same physical size in the store's pixels. A crop
of n pixels centred on c covers ``c - n // 2 .. c - n // 2 + n - 1``.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from viscy_data.tables.borders import Border
from viscy_data.tables.experiment import Experiment, FovInfo

type PixelArray = NDArray[np.int32]

# Stores round pixel sizes differently; below one per cent a patch of 200 pixels changes by less than 2.
_TOLERANCE = 0.01

_LARGEST: Final = 1 << 26
"""Pixels of the largest crop that may be larger than its image: pixel sizes in other units ask for more."""


def pixel_size(experiment: Experiment, info: FovInfo) -> tuple[float, float] | None:
    """Return micrometres per pixel (y, x): as the experiments file says, else the store, else None."""
    if experiment.pixel_size_um is not None:
        return experiment.pixel_size_um, experiment.pixel_size_um
    return info.pixel_size_um


def common_pixel_size(
    experiments: Sequence[Experiment], fovs: Mapping[str, Sequence[FovInfo]]
) -> float | None:
    """Return the pixel size in micrometres at which all patches are taken.

    The coarsest of the known ones, so that no patch shows detail that another experiment's could not;
    None where all known ones agree within one per cent, and nothing needs resampling. Fields of view
    whose pixel size is not known are taken in their own pixels.

    Parameters
    ----------
    experiments
        Those that go into one anchors table.
    fovs
        The fields of view of their stores, by the experiment's name; excluded ones do not count.
    """
    used = [(e, info) for e in experiments for info in fovs[e.name] if info.fov not in e.exclude_fovs]
    known = [side for one in used for side in pixel_size(*one) or ()]
    if not known or max(known) <= min(known) * (1 + _TOLERANCE):
        return None
    return max(known)


def crop_size(
    patch_size: tuple[int, int], own_um: tuple[float, float] | None, common_um: float | None
) -> tuple[int, int]:
    """Return rows and columns of the store that a patch covers.

    Parameters
    ----------
    patch_size
        Rows and columns of the patch.
    own_um, common_um
        Micrometres per pixel of the store (y, x) and of patches; None: not known, or not asked for.

    Examples
    --------
    >>> crop_size((64, 64), (0.25, 0.25), 0.5)
    (128, 128)
    >>> crop_size((64, 64), (0.501, 0.501), 0.5), crop_size((64, 64), None, 0.5)
    ((64, 64), (64, 64))
    """
    if own_um is None or common_um is None:
        return patch_size
    height, width = (
        side if abs(common_um / own - 1) <= _TOLERANCE else max(1, round(side * common_um / own))
        for side, own in zip(patch_size, own_um, strict=True)
    )
    return height, width


def is_too_large(crop: tuple[int, int], extent: tuple[int, ...], border: Border) -> bool:
    """Say whether no patch with this crop (rows, columns) can be taken from an image of this size.

    Examples
    --------
    >>> is_too_large((64, 8), (32, 32), "shift"), is_too_large((64, 8), (32, 32), "reflect")
    (True, False)
    >>> is_too_large((64_000, 64_000), (512, 512), "reflect")
    True
    """
    fits = crop[0] <= extent[0] and crop[1] <= extent[1]
    return not fits and (border == "shift" or crop[0] * crop[1] > _LARGEST)


def is_inside(centres: NDArray[np.floating], extent: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Say which centres lie on the image: from half a pixel before the middle of its first one to its length.

    Both conventions are in use: whole numbers are the middles of pixels, or their corners. A cell on the
    image by either is on it.

    Examples
    --------
    >>> is_inside(np.array([-0.6, -0.5, 0.0, 39.9, 40.0]), np.array([40])).tolist()
    [False, True, True, True, False]
    """
    return (centres >= -0.5) & (centres < extent)


def round_centres(centres: NDArray[np.floating], extent: NDArray[np.integer]) -> PixelArray:
    """Return the pixel of each centre (N,); one on the image (:func:`is_inside`) is a pixel of it.

    Parameters
    ----------
    centres
        Pixels along one axis (N,).
    extent
        Length of the image along that axis, (N,) or (1,) for all.

    Examples
    --------
    >>> round_centres(np.array([-0.4, 20.5, 39.2, 39.6]), np.array([40])).tolist()
    [0, 21, 39, 39]
    """
    pixels = np.floor(centres.astype(np.float64) + 0.5)
    return np.clip(pixels, 0, extent - 1, out=pixels).astype(np.int32)


def clamp_centres(pixels: PixelArray, crop: PixelArray, extent: PixelArray) -> PixelArray:
    """Move centres so that the whole crop lies inside the image.

    Parameters
    ----------
    pixels
        Along one axis (N,).
    crop, extent
        Size of crop and image along that axis, (N,) or (1,) for all; the crop fits.

    Examples
    --------
    >>> clamp_centres(np.array([1, 21, 39]), np.array([8]), np.array([40])).tolist()
    [4, 21, 36]
    """
    half = crop // 2
    return np.asarray(np.clip(pixels, half, extent - crop + half), dtype=np.int32)
