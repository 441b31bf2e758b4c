"""What is to be done to one store, checked before a byte is written."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, get_args

import numpy as np
import tensorstore as ts

from viscy_data.checks import is_whole
from viscy_data.errors import InvalidInputError, StoreError
from viscy_data.files.outputs import check_output
from viscy_data.images.arrays import array_spec, reason_of, zarr_python_reads
from viscy_data.images.ngff import read_attributes
from viscy_data.images.patches import PatchShape
from viscy_data.images.store import MissingChunks, describe
from viscy_data.optimize.layout import Box, Compression, Layout
from viscy_data.optimize.metadata import first_level
from viscy_data.optimize.rescue import RescuedArray
from viscy_data.tables.anchors.read import read_metadata
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.experiments import Experiments
from viscy_data.text import shown


@dataclass(frozen=True)
class Image:
    """One field of view: where its pixels lie now, and how they will lie.

    Attributes
    ----------
    info
        What the store's metadata say of it.
    group
        Folder of the position inside the store; "" where the store is one position.
    level
        Name of the array of full resolution.
    dtype
        As Zarr 3 names it.
    layout
        Of the copy.
    """

    info: FovInfo
    group: str
    level: str
    dtype: str
    layout: Layout

    @property
    def array(self) -> str:
        """The array's folder inside the store."""
        return f"{self.group}/{self.level}".lstrip("/")


@dataclass(frozen=True)
class Job:
    """A store to rewrite.

    Attributes
    ----------
    store, out
        The original, and the copy to write.
    patch
        Slices, rows and columns of what will be read.
    compression, missing_chunks
        Of the copy's chunks; what a chunk means that the original lacks.
    images
        Every field of view.
    """

    store: Path
    out: Path
    patch: tuple[int, int, int]
    compression: Compression
    missing_chunks: MissingChunks
    images: tuple[Image, ...]

    @property
    def work(self) -> Path:
        """The folder beside ``out`` in which the copy grows, and which an interrupted run leaves."""
        return self.out.parent / f".{self.out.name}.partial"

    @property
    def rescued(self) -> bool:
        """Whether TensorStore, by which training reads, cannot read the original."""
        return any(isinstance(open_array(self.store / one.array), RescuedArray) for one in self.images)

    @property
    def decoded_bytes(self) -> int:
        """Size of all pixels in memory."""
        return sum(prod(one.layout.shape) * itemsize(one) for one in self.images)

    def shards(self) -> Iterator[tuple[Image, Box]]:
        """Yield every part that becomes one file."""
        for image in self.images:
            for t in range(image.layout.shape[0]):
                for box in image.layout.boxes(t):
                    yield image, box

    def terms(self) -> dict[str, Any]:
        """Return what a restart must find unchanged, as plain values."""
        images = {
            one.array: [list(one.layout.shape), one.dtype, list(one.layout.chunk), list(one.layout.shard)]
            for one in self.images
        }
        return {
            "store": str(self.store.resolve()),
            "compression": self.compression,
            "missing_chunks": self.missing_chunks,
            "images": images,
        }


def itemsize(image: Image) -> int:
    """Return the bytes of a pixel."""
    return int(ts.dtype(image.dtype).numpy_dtype.itemsize)


def plan_job(
    store: str | Path,
    out: str | Path,
    *,
    patch: tuple[int, int, int],
    compression: Compression = "zstd",
    missing_chunks: MissingChunks = "error",
) -> Job:
    """Look at a store and lay out its copy; nothing is written.

    Parameters
    ----------
    store
        OME-Zarr 0.4 or 0.5: an HCS plate or a single position.
    out
        The copy to write; it does not exist, the folder that will hold it does.
    patch
        Slices, rows and columns of the patches that will be read.
    compression
        Of chunks: ``"zstd"``, or ``"none"``: the fastest to read, and the largest.
    missing_chunks
        ``"error"``, or ``"fill"`` where the original's writer left out chunks of the fill value.

    Raises
    ------
    InvalidInputError
        An argument is not allowed, ``out`` exists, or a patch does not fit into an image.
    StoreError
        The store cannot be read.
    """
    store, out = Path(store), Path(out)
    patch = _checked(patch, compression)
    check_free(store, out)
    experiment = Experiment(name=store.name or "store", data_path=store, tracks_path=store, channels=("-",))
    found = describe(experiment)
    if not found:
        raise StoreError(f"store={str(store)!r} holds no position; there is nothing to optimise.")
    images = tuple(_image(store, info, patch) for info in found)
    return Job(store, out, patch, compression, missing_chunks, images)


def _checked(patch: tuple[int, int, int], compression: str) -> tuple[int, int, int]:
    lengths: tuple[object, ...] = patch
    if len(lengths) != 3 or not all(is_whole(length, least=1) for length in lengths):
        raise InvalidInputError(
            f"patch={patch!r} must be three positive integers: slices, rows and columns (Z, Y, X)."
        )
    if compression not in get_args(Compression):
        raise InvalidInputError(f"compression={compression!r} must be 'zstd' or 'none'.")
    z, y, x = map(int, patch)  # NumPy's integers are not written to JSON
    return z, y, x


def check_free(store: Path, out: Path) -> None:
    """Refuse a place for the copy where something is already, or where nothing can be.

    Raises
    ------
    InvalidInputError, OutputError
        Saying what is there.
    """
    if os.path.lexists(out):
        raise InvalidInputError(f"out={shown(out, 300)!r} exists; name another, which is not there yet.")
    check_output(out, kind="folder", overwrite=False, inputs=[store])
    if store.resolve() in out.resolve().parents:
        raise InvalidInputError(f"out={str(out)!r} lies inside the store, which stays as it is.")


def _image(store: Path, info: FovInfo, patch: tuple[int, int, int]) -> Image:
    group = info.fov if info.well else ""
    if any(wanted > held for wanted, held in zip(patch, info.shape[2:], strict=True)):
        raise InvalidInputError(
            f"patch={patch!r} (Z, Y, X) does not fit into fov={info.fov!r} of shape {info.shape[2:]}; "
            "take a smaller one."
        )
    level = first_level(read_attributes(store / group))
    dtype = open_array(store / group / level).dtype.name
    size = int(ts.dtype(dtype).numpy_dtype.itemsize)
    return Image(info, group, level, dtype, Layout.fit(info.shape, size, patch))


def open_array(folder: Path, *, missing_chunks: MissingChunks = "error", cache_bytes: int = 0) -> Any:
    """Open an array for reading: by TensorStore, or by zarr-python where it cannot.

    Raises
    ------
    StoreError
        Where there is none that can be read.
    """
    spec = array_spec(folder, missing_chunks)
    context = ts.Context({"cache_pool": {"total_bytes_limit": cache_bytes}})
    try:
        return ts.open(spec, open=True, read=True, context=context).result()
    except (ValueError, OSError) as error:
        if zarr_python_reads(folder):
            return RescuedArray(folder, missing_chunks)
        raise StoreError(f"cannot open array={str(folder)!r}: {reason_of(error)}.") from error


def patch_of_index(
    index: str | Path, store: str | Path, z_window: int, experiments: Experiments | None = None
) -> tuple[int, int, int]:
    """Return what is read of a store for the patches of an anchors table: slices, rows and columns.

    ``experiments`` says where stores are; None: where they were when the table was built.

    Raises
    ------
    InvalidInputError
        The file is not an anchors table, or not of this store.
    """
    metadata = read_metadata(index)
    wanted = Path(store).resolve()
    known = (experiments or metadata.experiments).experiments
    for experiment in known:
        if experiment.data_path.resolve() == wanted:
            shape = PatchShape(metadata.patch_size, z_window, metadata.common_pixel_size_um)
            fovs = describe(experiment)
            crops = np.array([shape.crop_of(experiment, info) for info in fovs])
            depth, rows, columns = crops.max(axis=0).tolist()
            # Of a patch that is larger than its image no more is read than the image.
            return depth, min(rows, *(i.shape[-2] for i in fovs)), min(columns, *(i.shape[-1] for i in fovs))
    paths = ", ".join(str(experiment.data_path) for experiment in known)
    raise InvalidInputError(
        f"index={str(index)!r} is not of store={str(store)!r} but of {paths}. Give the patch instead."
    )
