"""What a TIFF file says of its image, and its pixels: read rightly or refused.

A TIFF file is a list of pages. Which of them are slices, channels or time points is said, if at all, in
text that every program writes in a way of its own (OME-XML, ImageJ, tifffile), and taking one for another
gives images that look right and are not. So axes are taken from that text, an axis that nobody names is
``Q``, and whoever knows the layout says what it is.

A header may also claim anything: 10^12 pixels in a file of a kilobyte, pages that lead back to the first,
planes that are not there. What it claims is compared with the bytes there are before any array is made.

*Axes*: one letter for each dimension, T, C, Z, Y, X, S (samples of a pixel: red, green, blue) or Q.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import tifffile
from numpy.typing import NDArray

from viscy_data.errors import InvalidInputError
from viscy_data.files.tiff_text import Stated, imagej_states, ome_states

_SMALL: Final = 2**26
"""Bytes that any file may unpack to."""
_PACKED: Final = 50_000
"""Pixels' bytes per byte of a file: zstd, the densest codec in use, packs 128 kB of one value into 4."""
_KINDS: Final = "uif"


@dataclass(frozen=True)
class TiffImage:
    """What the header of a TIFF file says.

    Attributes
    ----------
    path
        The file.
    shape, axes
        Length and letter of each dimension.
    dtype
        Of the pixels, in the byte order of this machine; truth values are ``uint8``.
    is_indexed
        Whether pixels are places in a table of colours, not intensities.
    stated
        Sizes and names that the file's text states.
    """

    path: Path
    shape: tuple[int, ...]
    axes: str
    dtype: np.dtype[Any]
    is_indexed: bool
    stated: Stated


class OpenTiff:
    """A TIFF file that is open, and what it says."""

    def __init__(self, image: TiffImage, series: Any) -> None:
        self.image, self._series = image, series

    def read(self, place: int | None = None, axis: int = 0) -> NDArray[Any]:
        """Return the pixels, or those at one place of one axis, which is then gone.

        Raises
        ------
        InvalidInputError
            The pixels cannot be decoded.
        """
        image = self.image
        try:
            found = self._series.asarray() if place is None else self._at(place, axis)
        except Exception as error:  # of a damaged file tifffile raises whatever comes of it
            raise InvalidInputError(f"{image.path}: the image cannot be read: {error}") from error
        shape = image.shape if place is None else (*image.shape[:axis], *image.shape[axis + 1 :])
        return np.asarray(found).reshape(shape).astype(image.dtype, copy=False)

    def _at(self, place: int, axis: int) -> NDArray[Any]:
        """Read no more than the pages of that place, where an axis is one of pages."""
        series, shape = self._series, self.image.shape
        if series.dataoffset is not None:
            dtype = np.dtype(series.dtype).newbyteorder(series.parent.byteorder)
            pixels = np.memmap(self.image.path, dtype, "r", offset=series.dataoffset, shape=shape)
            return np.array(pixels.take(place, axis))
        pages = len(series.pages)
        before = shape[: len(shape) - len(series.keyframe.shape)]
        if axis >= len(before) or prod(before) != pages:
            return cast("NDArray[Any]", series.asarray().reshape(shape).take(place, axis))
        wanted = np.arange(pages).reshape(before).take(place, axis).ravel()
        return np.stack([series.pages[int(page)].asarray() for page in wanted])


def describe_tiff(path: Path) -> TiffImage:
    """Return what a TIFF file says of its image; no pixel is read.

    Raises
    ------
    InvalidInputError
        The file cannot be read, claims more than it holds, or holds several images.
    """
    with open_tiff(path) as tiff:
        return tiff.image


@contextmanager
def open_tiff(path: Path) -> Iterator[OpenTiff]:
    """Open a TIFF file whose claims are checked.

    Raises
    ------
    InvalidInputError
        The file cannot be read, claims more than it holds, or holds several images.
    """
    try:
        # Files that the text of this one names are not opened.
        file = tifffile.TiffFile(path, _multifile=False)
    except Exception as error:
        raise InvalidInputError(f"{path}: not a TIFF file that can be read: {error}") from error
    with file:
        try:
            with _heard() as remarks:
                opened = _described(path, file)
        except InvalidInputError:
            raise
        except Exception as error:
            raise InvalidInputError(f"{path}: its header cannot be read: {error}") from error
        if any("circular" in remark for remark in remarks):
            raise InvalidInputError(f"{path}: damaged: its pages lead back to an earlier one.")
        yield opened


def _described(path: Path, file: tifffile.TiffFile) -> OpenTiff:
    if not len(file.pages):
        raise InvalidInputError(f"{path}: a TIFF file without a page: damaged.")
    first = file.pages.first
    stated, letters = Stated(), None
    if file.is_ome:
        stated, letters = ome_states(path, first.description, len(file.pages))
        file.is_ome = letters is None  # its planes lie in several files, which tifffile would look for
    if file.is_imagej:
        stated = imagej_states(first.description, first.tags)
    if first.photometric == tifffile.PHOTOMETRIC.MINISWHITE and not file.is_imagej:
        stated = replace(
            stated, remarks=(*stated.remarks, "0 is white in the files; pixels are kept as they are")
        )
    series = _only_series(path, file)
    _check_text(path, file, series)
    _check_bytes(path, file, series)
    axes, shape = series.axes, tuple(series.shape)
    if letters is not None and axes in ("YX", "IYX"):
        axes, shape = letters, tuple(stated.lengths.get(axis, shape[0]) for axis in letters[:-2]) + shape[-2:]
    axes = "".join(axis if axis in "TCZYXS" else "Q" for axis in axes)
    dtype = np.dtype(series.dtype or "V1").newbyteorder("=")
    dtype = np.dtype(np.uint8) if dtype.kind == "b" else dtype
    if dtype.kind not in _KINDS or dtype.itemsize > 8:
        raise InvalidInputError(f"{path}: pixels are {dtype}; save them as whole numbers or as floats.")
    return OpenTiff(TiffImage(path, shape, axes, dtype, _is_indexed(file), stated), series)


def _only_series(path: Path, file: tifffile.TiffFile) -> Any:
    """Return the one image of a file; smaller copies of it are not counted."""
    found = [one for one in file.series if not one.keyframe.is_reduced]
    if len(found) != 1:
        shapes = ", ".join(f"{one.axes} {tuple(one.shape)}" for one in found[:5])
        raise InvalidInputError(
            f"{path}: holds {len(found)} images ({shapes}), not one; save each as a file of its own."
        )
    return found[0]


def _check_text(path: Path, file: tifffile.TiffFile, series: Any) -> None:
    """Refuse a file whose text does not fit its pages: tifffile then passes over the text."""
    text = (file.imagej_metadata or {}) if file.is_imagej else {}
    written = text.get("images", 1)
    planes = prod(series.shape) // max(1, prod(series.keyframe.shape))
    if series.kind != "imagej" and written not in (1, planes):
        raise InvalidInputError(
            f"{path}: its ImageJ text states {written} images, the file holds {planes}; save it anew."
        )
    held = len(file.pages) if len(file.pages) > 1 else written  # ImageJ writes one page of all beyond 4 GB
    lengths = {key: text[key] for key in ("channels", "slices", "frames") if key in text}
    if lengths and prod(lengths.values()) != held:
        stated = ", ".join(f"{key}={n}" for key, n in lengths.items())[:99]
        raise InvalidInputError(
            f"{path}: its ImageJ text states {stated}, the file holds {held} images; save it anew."
        )
    if file.is_ome and series.kind != "ome":
        raise InvalidInputError(f"{path}: its OME-XML does not fit its pages; save it anew.")


def _check_bytes(path: Path, file: tifffile.TiffFile, series: Any) -> None:
    size, claimed = (
        file.filehandle.size,
        prod(map(int, series.shape)) * np.dtype(series.dtype or "V1").itemsize,
    )
    text = f"{path}: claims an image of {tuple(series.shape)} {series.dtype}, {claimed:,} bytes"
    if series.dataoffset is not None:
        if series.dataoffset + claimed > size:
            raise InvalidInputError(f"{text}, but has {size:,} bytes: truncated or damaged.")
        return
    if claimed > max(_SMALL, _PACKED * size):
        raise InvalidInputError(f"{text}, but has {size:,} bytes: no codec packs so much; damaged.")
    planes = prod(map(int, series.shape)) // max(1, prod(map(int, series.keyframe.shape)))
    pages = list(series.pages) if len(series.pages) == planes else []
    if len(pages) != planes or any(page is None for page in pages):
        raise InvalidInputError(f"{text}, in {planes} pages, but has {len(series.pages)}: damaged.")
    for page in pages:
        parts = zip(page.dataoffsets, page.databytecounts, strict=True)
        if any(not count or begin + count > size for begin, count in parts):
            raise InvalidInputError(f"{text}, but parts of it are missing: truncated or sparse.")


def _is_indexed(file: tifffile.TiffFile) -> bool:
    """Say whether pixels are places in a table of colours; one that grows steadily only displays them."""
    page = file.pages.first
    table = page.colormap if page.photometric == tifffile.PHOTOMETRIC.PALETTE else None
    if table is None or file.is_imagej:
        return False
    return bool((np.diff(np.asarray(table, dtype=np.int64), axis=1) < 0).any())


@contextmanager
def _heard() -> Iterator[list[str]]:
    """Collect what tifffile logs."""
    remarks: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: remarks.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("tifffile")
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield remarks
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
