"""A row of the table is one channel of a cell, and so is its patch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from viscy_data import compute_statistics, normalize_batch, statistics_path, write_statistics
from viscy_data.columns import CELL_ID, CHANNEL, EXPERIMENT, FOV, X_CROP, Y_CROP, T, Z
from viscy_data.dataset.anchor_dataset import AnchorDataset, Reading
from viscy_data.errors import InvalidInputError, StoreError
from viscy_data.images.store import describe
from viscy_data.images.z_window import ZWindow
from viscy_data.tables.anchors.build import build_anchors, concat_anchors
from viscy_data.tables.anchors.read import AnchorsMetadata
from viscy_data.tables.anchors.write import write_anchors
from viscy_data.tables.experiment import Experiment
from viscy_data.tables.experiments import Experiments
from viscy_data.tables.normalizations import Normalization
from viscy_data.tables.tau import TauRange

type Pixels = NDArray[Any]

PATCH = (8, 12)
FOVS = ("A/1/0", "B/1/0")
STORED = {"a": ("Phase", "RFP"), "b": ("GFP", "Phase", "RFP"), "c": ("BF",)}
SEEN: dict[str, dict[str, str]] = {
    "a": {"RFP": "ER", "Phase": "phase"},
    "b": {"RFP": "nucleus", "GFP": "ER", "Phase": "phase"},
    "c": {"BF": "phase"},
}


def random_pixels(shape: tuple[int, ...], seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(1, 20_000, shape).astype(np.uint16)


class Data:
    """Experiments of unlike channels, indexed; the chunks of "b" hold all channels."""

    def __init__(self, folder: Path, make_pixels: Callable[..., Pixels]) -> None:
        self.folder, self.path = folder, folder / "anchors.parquet"
        self.pixels = {
            (name, fov): make_pixels((4, len(stored), 2, 40, 48), seed=10 * i + j) * np.uint16(1 + i)
            for i, (name, stored) in enumerate(STORED.items())
            for j, fov in enumerate(FOVS)
        }
        entries = tuple(self._write(name) for name in STORED)
        self.experiments = Experiments(experiments=entries)
        fovs = {one.name: describe(one) for one in entries}
        built = [build_anchors(one, fovs[one.name], patch_size=PATCH)[0] for one in entries]
        self.table = concat_anchors(built)
        metadata = AnchorsMetadata(self.experiments, PATCH, TauRange(frames=(1, 2)))
        write_anchors(self.path, self.table, metadata)
        write_statistics(statistics_path(self.path), compute_statistics(self.experiments, progress=False))

    def _write(self, name: str) -> Experiment:
        from iohub.ngff import open_ome_zarr

        store, tracks = self.folder / f"{name}.zarr", self.folder / f"{name}_tracks"
        chunks = (1, len(STORED[name]) if name == "b" else 1, 1, 16, 16)
        with open_ome_zarr(
            store, layout="hcs", mode="w-", channel_names=list(STORED[name]), version="0.5"
        ) as plate:
            for fov in FOVS:
                position = plate.create_position(*fov.split("/"))
                position.create_image("0", self.pixels[name, fov], chunks=chunks)
        rng = np.random.default_rng(3)
        for fov in FOVS:
            cells = [(track, t) for track in range(3) for t in range(4)]
            rows = pd.DataFrame(cells, columns=["track_id", "t"])
            rows = rows.assign(y=rng.uniform(0, 39, 12), x=rng.uniform(0, 47, 12), z=rng.integers(0, 2, 12))
            (tracks / fov).mkdir(parents=True)
            rows.to_csv(tracks / fov / "tracks.csv", index=False)
        content = {"name": name, "data_path": store, "tracks_path": tracks, "channels": SEEN[name]}
        return Experiment.model_validate(content | {"samples": "channels"})

    def image(self, row: "pd.Series[Any]") -> Pixels:
        """Return what the row's channel shows of its field of view: (T, Z, Y, X)."""
        channel = STORED[row[EXPERIMENT]].index(row[CHANNEL])
        image: Pixels = self.pixels[row[EXPERIMENT], row[FOV]][:, channel]
        return image

    def crop(self, row: "pd.Series[Any]") -> Pixels:
        """Slice a patch out of the pixels, as slowly and plainly as can be."""
        margins = [(0, 0), *((length, length) for length in PATCH)]
        image = np.pad(self.image(row)[row[T]], margins, mode="reflect")
        y, x = (
            row[name] + length - length // 2 for name, length in zip((Y_CROP, X_CROP), PATCH, strict=True)
        )
        crop: Pixels = image[row[Z], y : y + PATCH[0], x : x + PATCH[1]]
        return crop[None, None]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return Data(tmp_path_factory.mktemp("channels"), random_pixels)


def test_a_patch_shows_the_channel_of_its_row(data: Data) -> None:
    dataset = AnchorDataset(data.path, normalization="none")
    assert dataset.channels == 1
    assert len(dataset) == 3 / 4 * len(data.table)
    batch = dataset.__getitems__(np.random.default_rng(0).permutation(len(dataset)).tolist())
    for view, rows in (("anchor", "rows"), ("positive", "positive_rows")):
        assert batch[view].shape == (len(dataset), 1, 1, *PATCH)
        for patch, row in zip(batch[view].numpy(), batch[rows].tolist(), strict=True):
            np.testing.assert_array_equal(patch, data.crop(data.table.iloc[row]))
    channel = data.table[CHANNEL].to_numpy()
    assert (channel[batch["rows"]] == channel[batch["positive_rows"]]).all()


def test_it_is_normalised_by_its_field_of_view_and_channel(data: Data) -> None:
    dataset = AnchorDataset(data.path)
    rows = np.arange(len(data.table))
    for patch, row in zip(dataset.read(rows).numpy(), rows, strict=True):
        anchor = data.table.iloc[row]
        image = data.image(anchor).astype(np.float64)
        expected = (data.crop(anchor) - image.mean()) / image.std()
        np.testing.assert_allclose(patch, expected, rtol=1e-4, atol=1e-5)


def test_patches_as_stored_become_the_same_values(data: Data) -> None:
    """Each row takes the scale and the projection of its own channel."""
    choices = {"RFP": Normalization("median_iqr", "frame"), "GFP": Normalization("percentiles", "experiment")}
    window = ZWindow(1, projection={"RFP": "max"})
    done, stored = (
        AnchorDataset(data.path, normalization=choices, z_window=window, dtype=dtype)
        for dtype in ("float32", "source")
    )
    positions = np.random.default_rng(2).permutation(len(done))[:40].tolist()
    expected, batch = done.__getitems__(positions), stored.__getitems__(positions)
    assert batch["anchor"].element_size() == 2
    finished = normalize_batch(batch)
    for view in ("anchor", "positive"):
        np.testing.assert_allclose(finished[view].numpy(), expected[view].numpy(), rtol=1e-5, atol=1e-5)
    others = dict.fromkeys(("Phase", "BF"), Normalization())
    assert done.normalization == stored.normalization == choices | others


def test_one_read_serves_the_channels_of_a_cell(data: Data) -> None:
    """Where chunks hold all channels, three rows of a cell cost as many chunks as one; elsewhere thrice."""
    for experiment, times in (("b", 1), ("a", 2)):
        own = np.flatnonzero(data.table[EXPERIMENT] == experiment)
        one = own[data.table[CELL_ID].to_numpy()[own] == data.table[CELL_ID].iloc[own[7]]]
        assert len(one) == len(STORED[experiment])
        loaded = []
        for rows in (one[:1], one, np.random.default_rng(1).permutation(one)):
            dataset = AnchorDataset(data.path, normalization="none")
            dataset.read(rows)
            counts = dataset.read_counts
            assert counts.loaded == counts.wanted > 0
            loaded.append(counts.loaded)
        assert loaded == [loaded[0], times * loaded[0], times * loaded[0]]


def test_all_channels_of_a_batch_share_chunks(data: Data) -> None:
    own = np.flatnonzero(data.table[EXPERIMENT] == "b")
    first = own[(data.table[CHANNEL].iloc[own] == "GFP").to_numpy()]
    counts = []
    for rows in (first, own):
        dataset = AnchorDataset(data.path, normalization="none")
        dataset.read(rows)
        counts.append(dataset.read_counts)
    assert counts[0] == counts[1]


def test_a_channel_that_cannot_be_read_is_named_and_replaced_by_its_like(data: Data, tmp_path: Path) -> None:
    broken = Data(tmp_path, random_pixels)
    for file in (tmp_path / "a.zarr/A/1/0/0/c/1/0").rglob("*"):  # channel Phase in frame 1
        if file.is_file():
            file.write_bytes(b"no chunk")
    rows = broken.table.query("experiment == 'a' and fov == 'A/1/0' and t == 1").index.to_numpy()
    dataset = AnchorDataset(broken.path, normalization="none", positive="self")
    with pytest.raises(StoreError, match="channel='Phase' "):
        dataset.read(rows)
    rfp = rows[(broken.table[CHANNEL].iloc[rows] == "RFP").to_numpy()]
    assert len(rfp) == 3
    dataset.read(rfp)
    skipping = AnchorDataset(
        broken.path, normalization="none", positive="self", reading=Reading(on_error="skip")
    )
    with pytest.warns(UserWarning, match="3 of 6 anchors were replaced"):
        batch = skipping.__getitems__(rows.tolist())
    before, after = (broken.table.iloc[one] for one in (rows, batch["rows"].numpy()))
    np.testing.assert_array_equal(before[CHANNEL], after[CHANNEL])
    assert (after[EXPERIMENT] == "a").all()


def test_a_table_of_other_channels_is_refused(data: Data) -> None:
    statistics = compute_statistics(data.experiments, progress=False)
    options: dict[str, Any] = {
        "experiments": data.experiments,
        "patch_size": PATCH,
        "statistics": statistics,
        "positive": "self",
    }
    with pytest.raises(InvalidInputError, match="needs the column channel"):
        AnchorDataset(data.table.drop(columns=[CHANNEL]), **options)
    odd = data.table.assign(channel=data.table[CHANNEL].astype(str).replace("BF", "Cy5").astype("category"))
    with pytest.raises(InvalidInputError, match=r"24 rows, the first experiment='c' channel='Cy5'"):
        AnchorDataset(odd, **options)


def test_patches_left_as_stored_come_with_the_numbers_of_their_channel(data: Data) -> None:
    normalize: dict[str, Any] = {"Phase": "median_iqr", "BF": "none", "GFP": "mean_std", "RFP": "mean_std"}
    ready = AnchorDataset(data.path, normalization=normalize)
    stored = AnchorDataset(data.path, normalization=normalize, dtype="source")
    positions = list(range(0, len(ready), 5))
    expected, batch = (one.__getitems__(positions) for one in (ready, stored))
    assert batch["anchor"].dtype == torch.uint16
    assert batch["anchor_scale"].shape == (len(positions), 2, 1)
    finished = normalize_batch(batch)
    for view in ("anchor", "positive"):
        torch.testing.assert_close(finished[view], expected[view])
