"""Three embeddings of the same cells, measured in the same way.

*composed*: the encoder trained on composed batches. *random*: the same encoder trained for the same steps
on random batches. *raw*: principal components of the normalised pixels that the encoders see, as many as
the embeddings are wide.

Encoders are trained on all experiments; only the probe leaves an experiment out. No loss sees a label,
but with balance and focus on conditions and hours decide which cells meet in a composed batch, those of
the experiment that the probe leaves out among them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from viscy_data import AnchorDataset, Reading, center_crop, progress_bar, read_statistics, statistics_path
from viscy_train.demo.settings import DemoSettings
from viscy_train.demo.source import Source
from viscy_train.demo.training import Trained
from viscy_train.embed import embed
from viscy_train.evaluation import Evaluation, Resampling, evaluate_arrays, read_embeddings
from viscy_train.evaluation.evaluate import thin
from viscy_train.evaluation.tasks import MEASURES

COMPOSED, RANDOM, RAW = "composed batches", "random batches", "raw pixels, PCA"

_PATCHES_AT_ONCE = 512

type FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Comparison:
    """Embeddings of the cells of `obs`, and their evaluations, by name of the embedding."""

    obs: pd.DataFrame
    embeddings: Mapping[str, FloatArray]
    evaluations: Mapping[str, Evaluation]


def compare(
    trained: Mapping[str, Trained], source: Source, settings: DemoSettings, out: Path, *, progress: bool
) -> Comparison:
    """Embed the cells, write ``NAME.zarr`` for each encoder, and evaluate."""
    cells = evaluated_cells(source, settings)
    embeddings: dict[str, FloatArray] = {}
    for name, one in trained.items():
        path = out / f"{name.split()[0]}.zarr"
        config = {"batches": name, "settings": repr(settings), "model": dict(one.module.hparams)}
        table = source.anchors_path
        embed(one.module, cells, path, config=config, overwrite=True, table=table, progress=progress)
        embeddings[name] = read_embeddings(path).embedding
    width = next(iter(embeddings.values())).shape[1]
    embeddings[RAW] = pixel_components(cells, width, settings, progress=progress)
    obs = cells.anchors
    steps = len(embeddings) * len(MEASURES)
    with progress_bar("evaluate", steps, unit="groups of metrics", shown=progress) as advance:
        resampling = Resampling(shuffles=settings.shuffles, seed=settings.seed)
        evaluations = {
            name: evaluate_arrays(
                array, obs, resampling=resampling, progress=lambda group: advance(1 if group else 0)
            )
            for name, array in embeddings.items()
        }
    for name, evaluation in evaluations.items():
        evaluation.write(out / f"metrics_{name.split()[0]}.json")
    return Comparison(obs, embeddings, evaluations)


def evaluated_cells(source: Source, settings: DemoSettings) -> AnchorDataset:
    """Return a dataset of the cells to evaluate: whole lineages, drawn evenly."""
    anchors = source.anchors
    kept = thin(anchors, settings.max_cells, Resampling(seed=settings.seed))
    return AnchorDataset(
        anchors[kept],
        experiments=source.experiments,
        patch_size=source.metadata.patch_size,
        positive="self",
        statistics=read_statistics(statistics_path(source.anchors_path)),
        reading=Reading(missing_chunks=source.metadata.missing_chunks, non_finite=source.metadata.non_finite),
    )


def pixel_components(
    cells: AnchorDataset, width: int, settings: DemoSettings, *, progress: bool
) -> FloatArray:
    """Return principal components (N, width) of the patches that the encoders see."""
    parts: list[Any] = []
    with progress_bar("raw pixels", len(cells), unit="cells", shown=progress) as advance:
        for start in range(0, len(cells), _PATCHES_AT_ONCE):
            rows = range(start, min(start + _PATCHES_AT_ONCE, len(cells)))
            patches = cells.__getitems__(rows)["anchor"]
            parts.append(center_crop(patches, (settings.crop, settings.crop)).flatten(1).numpy())
            advance(len(rows))
    pixels = np.concatenate(parts)
    components = PCA(min(width, *pixels.shape), svd_solver="randomized", random_state=settings.seed)
    return np.asarray(components.fit_transform(pixels), dtype=np.float32)
