"""The demo's pictures: which arrays the report draws."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.manifold import TSNE

from viscy_data import AnchorDataset, center_crop, columns, shown
from viscy_data.pages.charts import Times, batches_chart, batches_keys, shades_text
from viscy_data.pages.colours import CONDITIONS, PALETTE
from viscy_data.pages.page import Drawing
from viscy_train.demo.comparison import Comparison
from viscy_train.demo.settings import DemoSettings
from viscy_train.demo.source import Source
from viscy_train.demo.training import Trained
from viscy_train.evaluation import Resampling
from viscy_train.evaluation.arrays import unit_rows
from viscy_train.evaluation.evaluate import thin
from viscy_train.report.figures import maps_figure, patches_figure

_BATCHES = 20
_TIMES = 24
_PAIRS = 10

type Codes = tuple[NDArray[np.int64], list[str]]


def coded(column: "pd.Series[Any]") -> Codes:
    """Return codes in sorted order of the names, -1 where missing, and the names."""
    codes, names = pd.factorize(column.astype(object), sort=True)
    return codes.astype(np.int64), [str(name) for name in names]


def time_of(anchors: pd.DataFrame, source: Source) -> tuple[NDArray[np.float64], str]:
    """Return hours post infection where all are known, else frames, and what they are called."""
    if source.has_hours:
        return anchors[columns.HOURS].to_numpy(np.float64), "hours post infection"
    return anchors[columns.T].to_numpy(np.float64), "frame"


def batches_drawings(trained: Mapping[str, Trained], source: Source) -> list[Drawing]:
    """Draw the first batches of each kind as columns: what they are made of, and when cells were seen."""
    anchors = next(iter(trained.values())).data.dataset.valid_anchors
    experiment, experiments = coded(anchors[columns.EXPERIMENT])
    told = anchors[columns.CONDITION].astype(object)
    condition, conditions = coded(told.where(told.notna(), "not known"))
    time, name = time_of(anchors, source)
    # a bin per time where there are few: frames, or hours of movies with one interval
    edges = np.histogram_bin_edges(time, min(_TIMES, np.unique(time).size))
    bins = np.clip(np.searchsorted(edges, time, side="right") - 1, 0, edges.size - 2)
    drawings = []
    for title, one in trained.items():
        batches = min(_BATCHES, len(one.data.train_sampler))
        rows = np.array([one.data.train_sampler.batch(number, epoch=0) for number in range(batches)])
        at = np.arange(batches)[:, None]  # (batches, 1), beside rows (batches, batch size)
        cells = np.zeros((batches, len(experiments), len(conditions)), np.int64)
        np.add.at(cells, (at, experiment[rows], condition[rows]), 1)
        times = np.zeros((batches, edges.size - 1), np.int64)
        np.add.at(times, (at, bins[rows]), 1)
        svg = batches_chart(cells, Times(times, edges, name), by="experiment and condition")
        drawings.append(Drawing(svg, title, batches_keys(experiments, conditions), shades_text(conditions)))
    return drawings


def pairs_picture(trained: Trained, source: Source, settings: DemoSettings) -> bytes:
    """Draw anchors above their positives, cells spread over experiments and conditions."""
    dataset = trained.data.dataset
    batch = dataset.__getitems__(_spread(dataset, settings.seed))
    views = [
        center_crop(batch[view], (settings.crop, settings.crop))[:, :, 0].numpy()
        for view in ("anchor", "positive")
    ]
    rows, positives = batch["rows"].numpy(), batch["positive_rows"].numpy()
    anchors = dataset.anchors
    later = anchors[columns.T].to_numpy()[positives] - anchors[columns.T].to_numpy()[rows]
    told = anchors[columns.CONDITION].astype(object).where(anchors[columns.CONDITION].notna(), "")
    names = [
        f"{shown(anchors[columns.EXPERIMENT].iloc[row])}\n{shown(told.iloc[row])}\n{step:+d} frames".replace(
            "\n\n", "\n"
        )
        for row, step in zip(rows, later, strict=True)
    ]
    return patches_figure(views[0], views[1], names, source.channels)


def _spread(dataset: AnchorDataset, seed: int) -> list[int]:
    """Draw rows so that experiments and conditions take turns."""
    valid = dataset.valid_anchors
    cells = valid.groupby([columns.EXPERIMENT, columns.CONDITION], observed=True, dropna=False).ngroup()
    order = np.random.default_rng(seed).permutation(len(valid))
    turn = pd.Series(cells.to_numpy()[order]).groupby(cells.to_numpy()[order]).cumcount().to_numpy()
    chosen: list[int] = order[np.lexsort((cells.to_numpy()[order], turn))][:_PAIRS].tolist()
    return sorted(chosen)


def maps_picture(comparison: Comparison, source: Source, settings: DemoSettings) -> bytes:
    """Draw t-SNE maps of the same cells for each embedding."""
    obs = comparison.obs
    rows = np.flatnonzero(thin(obs, settings.map_cells, Resampling(seed=settings.seed)))
    shown = obs.iloc[rows]
    maps = {name: _map(array[rows], settings.seed) for name, array in comparison.embeddings.items()}
    labels: dict[str, tuple[NDArray[np.int64], Sequence[str], Sequence[str]]] = {
        "experiment": (*coded(shown[columns.EXPERIMENT]), PALETTE)
    }
    if source.has_conditions:
        labels["condition"] = (*coded(shown[columns.CONDITION]), CONDITIONS)
    return maps_figure(maps, labels, time_of(shown, source))


def _map(embedding: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    unit = unit_rows(embedding.astype(np.float64))
    perplexity = min(30.0, (len(unit) - 1) / 3)
    plane = TSNE(perplexity=perplexity, init="pca", random_state=seed, max_iter=500)
    return np.asarray(plane.fit_transform(unit), dtype=np.float64)
