"""The stores of the benchmark: plates of noise as cameras make it, in the layouts that people have.

Pixels are a smooth background with photon and read-out noise, so that zstd gains what it gains on
microscopy (about a third) and decodes at the speed it has there. Every field of view holds other pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorstore as ts
from iohub.ngff import open_ome_zarr
from numpy.typing import NDArray

CHANNELS = ("Phase3D", "RFP")


@dataclass(frozen=True)
class Size:
    """Extent of the stores and of what is read from them."""

    fovs: int = 6
    shape: tuple[int, int, int, int, int] = (24, 2, 5, 1024, 1024)
    patch: tuple[int, int] = (160, 160)
    pairs: int = 64
    cells: int = 40

    @property
    def depth(self) -> int:
        return self.shape[2]


SMALLEST = Size(fovs=2, shape=(6, 2, 2, 128, 128), patch=(32, 32), pairs=8, cells=12)


@dataclass(frozen=True)
class Layout:
    """How a store's pixels lie in files."""

    name: str
    chunk: tuple[int, int, int, int, int]
    compressed: bool
    shards: tuple[int, int, int, int, int] | None = None


def layouts(size: Size) -> tuple[Layout, ...]:
    """Return what converters write (full frames), tiles, and tiles of both channels in a shard a frame."""
    rows, columns = size.shape[-2:]
    frame, tile, small = (rows, columns), (rows // 4, columns // 4), (rows // 8, columns // 8)
    return tuple(
        Layout(f"{name}, {'zstd' if compressed else 'raw'}", chunk, compressed, ratio)
        for name, chunk, ratio in (
            ("full-frame", (1, 1, 1, *frame), None),
            (f"{tile[0]}-chunks", (1, 1, 1, *tile), None),
            ("sharded", (1, 2, 1, *small), (1, 2, size.depth, *frame)),
        )
        for compressed in (True, False)
    )


def write_store(path: Path, layout: Layout, size: Size, done: Callable[[], None]) -> None:
    """Write a plate of ``size.fovs`` fields of view, A/1/0, A/2/0, ..."""
    rng = np.random.default_rng(0)
    noise = _exposures(rng, size)
    with open_ome_zarr(path, layout="hcs", mode="w-", channel_names=list(CHANNELS), version="0.5") as plate:
        for number in range(size.fovs):
            position = plate.create_position("A", str(number + 1), "0")
            position.create_zeros("0", size.shape, np.uint16, chunks=layout.chunk)
            array = _create(path / f"A/{number + 1}/0/0", layout, size)
            for t in range(size.shape[0]):
                array[t] = _frame(rng, noise, size)
                done()


def fov_names(size: Size) -> list[str]:
    return [f"A/{number + 1}/0" for number in range(size.fovs)]


def _create(path: Path, layout: Layout, size: Size) -> ts.TensorStore:
    codecs: list[dict[str, object]] = [{"name": "bytes", "configuration": {"endian": "little"}}]
    if layout.compressed:
        codecs.append({"name": "zstd", "configuration": {"level": 3, "checksum": False}})
    if layout.shards:
        codecs = [
            {"name": "sharding_indexed", "configuration": {"chunk_shape": layout.chunk, "codecs": codecs}}
        ]
    metadata = {
        "shape": size.shape,
        "data_type": "uint16",
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": layout.shards or layout.chunk},
        },
        "codecs": codecs,
    }
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{path}/"},
        "metadata": metadata,
        "create": True,
        "delete_existing": True,
    }
    return ts.open(spec).result()


def _exposures(rng: np.random.Generator, size: Size) -> NDArray[np.float32]:
    """Return a few exposures: photons over a background that falls off to the rim, and read-out noise."""
    rows, columns = size.shape[-2:]
    y, x = np.ogrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    background = 900 - 300 * (x**2 + y**2)
    exposures = rng.poisson(background, (4, rows, columns)) + rng.normal(100, 4, (4, rows, columns))
    return exposures.astype(np.float32)


def _frame(rng: np.random.Generator, exposures: NDArray[np.float32], size: Size) -> NDArray[np.uint16]:
    """Return (C, Z, Y, X) planes, each an exposure rolled by its own shift: other pixels in every chunk."""
    planes = size.shape[1] * size.shape[2]
    shifts = rng.integers(0, size.shape[-1], (planes, 2)).tolist()
    which = rng.integers(0, len(exposures), planes).tolist()
    rolled = [np.roll(exposures[one], shift, axis=(0, 1)) for one, shift in zip(which, shifts, strict=True)]
    return np.stack(rolled).reshape(size.shape[1:]).astype(np.uint16)


def write_flat(path: Path, store: Path, size: Size) -> None:
    """Write the pixels of a store as one file (fov, T, C, Z, Y, X) to be mapped."""
    pixels = np.lib.format.open_memmap(path, "w+", np.uint16, (size.fovs, *size.shape))
    for number, name in enumerate(fov_names(size)):
        array = ts.open({"driver": "zarr3", "kvstore": f"file://{store / name / '0'}/"}, open=True).result()
        for t in range(size.shape[0]):
            pixels[number, t] = array[t].read().result()
    pixels.flush()


def warm(*paths: Path) -> None:
    """Read all files once, so that the disk is not part of what is measured."""
    for path in paths:
        for file in [path] if path.is_file() else path.rglob("*"):
            if file.is_file():
                with file.open("rb") as opened:
                    while opened.read(1 << 24):
                        pass
