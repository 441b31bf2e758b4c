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

from viscy_data import AnchorDataset, Reading, progress_bar, read_statistics, statistics_path
from viscy_train.demo.settings import DemoSettings
from viscy_train.demo.source import Source
from viscy_train.demo.training import Trained
from viscy_train.embed import embed
from viscy_train.evaluation import Evaluation, Resampling, evaluate_arrays, read_embeddings
from viscy_train.evaluation.evaluate import thin
from viscy_train.evaluation.tasks import MEASURES
from viscy_train.models.pixels import fit_pixels

COMPOSED, RANDOM, RAW = "composed batches", "random batches", "raw pixels, PCA"

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
    """Embed the cells, write ``NAME.zarr`` for each, and evaluate."""
    cells = evaluated_cells(source, settings)
    models: dict[str, Any] = {name: one.module for name, one in trained.items()}
    width = next(iter(trained.values())).module.encoder.width
    crop = (settings.crop, settings.crop)
    models[RAW] = fit_pixels(cells, crop, width, seed=settings.seed, progress=progress)
    embeddings: dict[str, FloatArray] = {}
    for name, model in models.items():
        path = out / f"{name.split()[0]}.zarr"
        config = {
            "batches": name,
            "settings": repr(settings),
            "model": dict(getattr(model, "hparams", {})),
        }
        table = source.anchors_path
        embed(model, cells, path, config=config, overwrite=True, table=table, progress=progress)
        embeddings[name] = read_embeddings(path).embedding
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
