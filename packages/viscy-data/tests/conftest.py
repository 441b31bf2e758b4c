from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

# No timing decides a test: the first example of a property may well be the one that imports a library.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

Pixels = NDArray[Any]


class WriteStore(Protocol):
    def __call__(
        self,
        path: Path,
        images: Mapping[str, Pixels] | Pixels,
        channels: Sequence[str],
        *,
        version: Literal["0.4", "0.5"] = "0.5",
        pixel_size_um: tuple[float, float] = (1.0, 1.0),
        chunk: int = 16,
    ) -> Path: ...


def _write_store(
    path: Path,
    images: Mapping[str, Pixels] | Pixels,
    channels: Sequence[str],
    *,
    version: Literal["0.4", "0.5"] = "0.5",
    pixel_size_um: tuple[float, float] = (1.0, 1.0),
    chunk: int = 16,
) -> Path:
    from iohub.ngff import TransformationMeta, open_ome_zarr

    scale = [TransformationMeta(type="scale", scale=[1.0, 1.0, 1.0, *pixel_size_um])]
    options: dict[str, Any] = {"chunks": (1, 1, 1, chunk, chunk), "transform": scale}
    layout = "hcs" if isinstance(images, Mapping) else "fov"
    with open_ome_zarr(path, layout=layout, mode="w-", channel_names=list(channels), version=version) as node:
        if isinstance(images, Mapping):
            for fov, pixels in images.items():
                node.create_position(*fov.split("/")).create_image("0", pixels, **options)
        else:
            node.create_image("0", images, **options)
    return path


@pytest.fixture(scope="session")
def write_store() -> WriteStore:
    """Write an OME-Zarr with iohub: a plate of {fov: (T, C, Z, Y, X)}, or one position."""
    return _write_store


def _make_pixels(shape: tuple[int, ...], seed: int = 0, dtype: Any = np.uint16) -> Pixels:
    return np.random.default_rng(seed).integers(1, 60000, shape).astype(dtype)


class MakePixels(Protocol):
    def __call__(self, shape: tuple[int, ...], seed: int = 0, dtype: Any = np.uint16) -> Pixels: ...


@pytest.fixture
def make_pixels() -> MakePixels:
    """Make pixels that differ everywhere and are never 0, so that no chunk is left out."""
    return _make_pixels
