"""Places of cells in a plane.

Two maps answer two questions. Principal components keep large distances and can be computed at once: they
show what varies most, such as a microscope. t-SNE and UMAP keep neighbours together and cost more: they show
groups, and cells that lie in the wrong one. Lengths and gaps in them mean nothing. Both see rows of length
one, so that near means what it means in every metric: a small cosine distance.

Cost: t-SNE of 9,000 cells took 75 s on one core of a busy machine.
"""

import re
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib.util import find_spec
from io import StringIO
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from viscy_data import InvalidInputError
from viscy_train.evaluation.arrays import FloatArray

type Kind = Literal["pca", "tsne", "umap"]
type Places = NDArray[np.float32]

KINDS: Final = ("pca", "tsne", "umap")
FEWEST: Final = 8
"""Cells below which there is nothing to tell of neighbours: principal components are all."""

_STEPS: Final = 750
_TOLD_EVERY: Final = 50
_WIDTH: Final = 50
_TOLD: Final = re.compile(r"\[t-SNE\] Iteration \d+:")


def check_kind(kind: str) -> None:
    """Refuse a map that there is not, or whose library is not installed."""
    if kind not in KINDS:
        raise InvalidInputError(f"map={kind!r}: pca, tsne or umap is needed; tsne is usual.")
    if kind == "umap" and find_spec("umap") is None:
        raise InvalidInputError(
            "map='umap' needs umap-learn: pip install 'viscy-train[umap]', or take --map tsne."
        )


def principal(unit: FloatArray) -> tuple[Places, tuple[float, float]]:
    """Return the first two principal components (N, 2) and their shares of the variance."""
    count = min(2, *unit.shape)
    found = PCA(count, svd_solver="full" if min(unit.shape) < 3 else "covariance_eigh")
    places = np.zeros((len(unit), 2), dtype=np.float32)
    if _in_one_place(unit):
        return places, (0.0, 0.0)
    places[:, :count] = found.fit_transform(unit)
    shares = [*found.explained_variance_ratio_, 0.0]
    return places, (float(shares[0]), float(shares[1]))


def tsne_steps() -> int:
    """Return how often `tsne` says that it has moved on."""
    return _STEPS // _TOLD_EVERY


def tsne(unit: FloatArray, *, seed: int, advance: Callable[[int], None]) -> Places:
    """Return places by t-SNE (N, 2), of at least `FEWEST` rows."""
    if _in_one_place(unit):  # t-SNE would divide by their spread
        return np.zeros((len(unit), 2), dtype=np.float32)
    width = min(_WIDTH, *unit.shape)
    components = PCA(width, svd_solver="full" if width == unit.shape[0] else "covariance_eigh")
    narrow = components.fit_transform(unit).astype(np.float32)
    plane = TSNE(
        perplexity=min(30.0, (len(unit) - 1) / 3),
        init="pca" if width > 1 else "random",
        random_state=seed,
        max_iter=_STEPS,
        verbose=2,
    )
    # the library tells how far it is by printing, and in no other way
    with redirect_stdout(_Listener(advance)):
        return np.asarray(plane.fit_transform(narrow), dtype=np.float32)


def umap(unit: FloatArray, *, seed: int) -> Places:
    """Return places by UMAP (N, 2), of at least `FEWEST` rows."""
    from umap import UMAP  # noqa: PLC0415  an extra

    near = min(15, len(unit) - 1)
    plane = UMAP(n_neighbors=near, random_state=seed, n_jobs=1)
    return np.asarray(plane.fit_transform(unit.astype(np.float32)), dtype=np.float32)


def _in_one_place(unit: FloatArray) -> bool:
    return not np.ptp(unit, axis=0).any()


class _Listener(StringIO):
    """Hear of iterations."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        super().__init__()
        self._advance = advance

    def write(self, text: str, /) -> Any:
        """Move on by each line that names an iteration."""
        if _TOLD.match(text):
            self._advance(1)
        return len(text)
