"""Raw pixels as an embedding: the floor that a trained encoder has to beat.

A number of an embedding says little without what the pixels alone would give. Here an embedding is the
principal components of the patches, normalised and cropped as an encoder sees them, as many as an embedding
is wide. They are fitted to some cells, whole lineages drawn evenly from experiments, since all of their
patches are in memory then: at most a gigabyte. All cells are then embedded as with any model.
"""

from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from torch import Tensor, nn

from viscy_data import (
    AnchorDataset,
    InvalidInputError,
    center_crop,
    check_output,
    progress_bar,
    read_metadata,
)
from viscy_train.embed import embed
from viscy_train.evaluation import Resampling
from viscy_train.evaluation.evaluate import thin
from viscy_train.models.embedding import inputs_of

_MOST_CELLS: Final = 20_000
_MOST_NUMBERS: Final = 1 << 28
"""Of all crops that components are fitted to, in float32."""
_PATCHES_AT_ONCE: Final = 512

type FloatArray = NDArray[np.float32]


class PixelComponents(nn.Module):
    """Principal components of pixels, as a model.

    Parameters
    ----------
    components, mean : ndarray
        (K, P) and (P,), of P = C * Z * Y * X normalised pixels of a crop.
    crop : (int, int)
        Y and X, from the middle of a patch.
    """

    components: Tensor
    mean: Tensor

    def __init__(self, components: FloatArray, mean: FloatArray, crop: tuple[int, int]) -> None:
        super().__init__()
        self.crop = crop
        self.register_buffer("components", torch.from_numpy(components))
        self.register_buffer("mean", torch.from_numpy(mean))

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Give the components (B, K) of patches (B, C, Z, Y, X), in place of a projection, too."""
        values = (center_crop(patches, self.crop).flatten(1) - self.mean) @ self.components.T
        return values, values


def fit_pixels(
    cells: AnchorDataset, crop: tuple[int, int], width: int, *, seed: int = 0, progress: bool = True
) -> PixelComponents:
    """Fit as many components to the patches of some cells as they allow, at most `width`."""
    numbers = center_crop(cells.read([0]), crop).numel()  # of one crop
    most = min(_MOST_CELLS, max(width, _MOST_NUMBERS // numbers))
    rows = np.arange(len(cells.anchors))[thin(cells.anchors, most, Resampling(seed=seed))]
    parts: list[FloatArray] = []
    with progress_bar("raw pixels", len(rows), unit="cells", shown=progress) as advance:
        for start in range(0, len(rows), _PATCHES_AT_ONCE):
            some = rows[start : start + _PATCHES_AT_ONCE].tolist()
            parts.append(center_crop(cells.read(some), crop).flatten(1).numpy())
            advance(len(some))
    pixels = np.concatenate(parts)
    found = PCA(min(width, *pixels.shape), svd_solver="randomized", random_state=seed).fit(pixels)
    components, mean = (np.asarray(one, dtype=np.float32) for one in (found.components_, found.mean_))
    return PixelComponents(components, mean, crop)


def embed_pixels(
    anchors: str | Path,
    out: str | Path,
    *,
    crop: int | None = None,
    width: int = 128,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Write principal components of the pixels of all cells of a table; return `out`.

    Parameters
    ----------
    anchors : str or Path
        A table that ``viscy-data index`` wrote.
    out : str or Path
        The file to write, see `viscy_train.embed.embed`.
    crop : int, optional
        Height and width that the encoder sees, in pixels; None: all of the patch.
    width : int
        Components, as many as the embedding beside it is wide.
    seed : int
        Of the draw of cells that components are fitted to.
    overwrite : bool
        Replace an existing file.
    progress : bool
        Show progress bars.

    Raises
    ------
    InvalidInputError
        If the crop is larger than a patch, a number is below 1, or `out` exists.
    """
    read = inputs_of(anchors)
    check_output(out, kind="folder", overwrite=overwrite, inputs=read, make_parents=True)
    rows, columns = read_metadata(anchors).patch_size
    sides = (rows, columns) if crop is None else (crop, crop)
    if not (1 <= sides[0] <= rows and 1 <= sides[1] <= columns):
        raise InvalidInputError(f"crop={crop}: patches of this table have {rows} x {columns} pixels.")
    if width < 1:
        raise InvalidInputError(f"width={width} is below 1; 128 is usual.")
    cells = AnchorDataset(anchors, positive="self")
    model = fit_pixels(cells, sides, width, seed=seed, progress=progress)
    config = {"pixels": {"crop": list(sides), "width": len(model.components), "seed": seed}}
    return embed(model, cells, out, config=config, overwrite=overwrite, inputs=read, progress=progress)
