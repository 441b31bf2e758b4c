import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from viscy_data.columns import ANCHOR_COLUMNS, CONDITION, EXPERIMENT, FOV, LINEAGE_ID, X_CROP, Y_CROP, T, Z
from viscy_data.dataset.anchor_dataset import AnchorDataset, Pairing, Reading
from viscy_data.errors import InvalidInputError, StoreError
from viscy_data.images.statistics import compute_statistics, statistics_path, write_statistics
from viscy_data.images.store import describe
from viscy_data.tables.anchors.build import build_anchors, concat_anchors
from viscy_data.tables.anchors.read import AnchorsMetadata
from viscy_data.tables.anchors.write import write_anchors
from viscy_data.tables.borders import BORDERS, Border
from viscy_data.tables.crops import common_pixel_size
from viscy_data.tables.experiment import Experiment
from viscy_data.tables.experiments import Experiments
from viscy_data.tables.tau import TauRange

Pixels = NDArray[Any]
WriteStore = Callable[..., Path]
MakePixels = Callable[..., Pixels]

SHAPE = (6, 2, 3, 40, 48)
PATCH = (8, 12)
FOVS = ("A/1/0", "B/1/0")


class Rows(list[int]):
    """A batch of a sampler: rows with the epoch and number that key its draws."""

    def __init__(self, rows: Sequence[int], epoch: int, number: int) -> None:
        super().__init__(rows)
        self.epoch, self.number = epoch, number


class Data:
    """Two experiments, each a plate of two fovs with tracks, indexed; and their pixels."""

    def __init__(self, folder: Path, experiments: Experiments, pixels: dict[tuple[str, str], Pixels]) -> None:
        self.folder, self.experiments, self.pixels = folder, experiments, pixels
        self.path = folder / "anchors.parquet"
        self.border: Border = "reflect"

    def index(self, patch_size: tuple[int, int] = PATCH, border: Border = "reflect") -> pd.DataFrame:
        self.border = border
        fovs = {one.name: describe(one) for one in self.experiments.experiments}
        common = common_pixel_size(self.experiments.experiments, fovs)
        frames = [
            build_anchors(
                one, fovs[one.name], patch_size=patch_size, common_pixel_size_um=common, border=border
            )[0]
            for one in self.experiments.experiments
        ]
        table = concat_anchors(frames)
        tau = TauRange(frames=(1, 2))
        metadata = AnchorsMetadata(
            self.experiments, patch_size, tau, common_pixel_size_um=common, border=border
        )
        write_anchors(self.path, table, metadata)
        write_statistics(statistics_path(self.path), compute_statistics(self.experiments, progress=False))
        return table

    def crop(self, row: "pd.Series[Any]", size: tuple[int, int] = PATCH, z_window: int = 1) -> Pixels:
        """Slice a patch out of the pixels, as slowly and plainly as can be."""
        image = self.pixels[row[EXPERIMENT], row[FOV]]
        image = image[row[T]][::-1] if row[EXPERIMENT] == "b" else image[row[T]]
        for axis, (centre, length) in enumerate(
            zip((row[Z], row[Y_CROP], row[X_CROP]), (z_window, *size), strict=True)
        ):
            start = centre - length // 2
            if axis == 0 or self.border == "shift":
                start = min(max(start, 0), image.shape[axis + 1] - length)
            else:
                margins = [(0, 0)] * 4
                margins[axis + 1] = (length, length)
                image, start = np.pad(image, margins, mode="reflect"), start + length
            image = image.take(range(start, start + length), axis=axis + 1)
        found: Pixels = image
        return found


def write_tracks(folder: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for fov in FOVS:
        rows = [
            {
                "track_id": track,
                "t": t,
                "y": rng.uniform(0, 39),
                "x": rng.uniform(0, 47),
                "z": rng.integers(0, 3),
            }
            for track in range(4)
            for t in range(track, SHAPE[0])
        ]
        path = folder / fov / "tracks.csv"
        path.parent.mkdir(parents=True)
        pd.DataFrame(rows).to_csv(path, index=False)


@pytest.fixture
def data(tmp_path: Path, write_store: WriteStore, make_pixels: MakePixels) -> Data:
    experiments: list[Experiment] = []
    pixels: dict[tuple[str, str], Pixels] = {}
    for seed, (name, version, channels) in enumerate(
        [("a", "0.4", ("Phase", "RFP")), ("b", "0.5", ("RFP", "Phase"))]
    ):
        images = {fov: make_pixels(SHAPE, 10 * seed + i) for i, fov in enumerate(FOVS)}
        store = write_store(tmp_path / f"{name}.zarr", images, ("Phase", "RFP"), version=version)
        write_tracks(tmp_path / f"{name}_tracks", seed)
        experiments.append(
            Experiment(
                name=name,
                data_path=store,
                tracks_path=tmp_path / f"{name}_tracks",
                channels=channels,
                condition_wells={"infected": ("A/1",), "control": ("B/1",)},
            )
        )
        pixels |= {(name, fov): image for fov, image in images.items()}
    return Data(tmp_path, Experiments(experiments=tuple(experiments)), pixels)


def chunks_of(data: Data, experiment: str, fov: str, t: int) -> list[Path]:
    array = data.folder / f"{experiment}.zarr" / fov / "0"
    folder = array / "c" / str(t) if experiment == "b" else array / str(t)
    return [file for file in folder.rglob("*") if file.is_file()]


@pytest.mark.parametrize("border", BORDERS)
def test_patches_are_slices_of_the_images(data: Data, border: Border) -> None:
    table = data.index(border=border)
    assert {"reflect": 0.3, "shift": 0.3, "drop": -1}[border] < (table["outside"] > 0).mean() < 0.7
    dataset = AnchorDataset(data.path, normalization="none")
    batch = dataset.__getitems__(list(range(len(dataset))))
    for view, rows in (("anchor", "rows"), ("positive", "positive_rows")):
        tensor = batch[view]
        assert tensor.shape == (len(dataset), 2, 1, *PATCH)
        assert tensor.dtype == torch.float32
        assert tensor.is_contiguous()
        assert batch[rows].dtype == torch.int64
        for patch, row in zip(tensor.numpy(), batch[rows].tolist(), strict=True):
            np.testing.assert_array_equal(patch, data.crop(dataset.anchors.iloc[row]))


@pytest.mark.parametrize(
    ("size", "z_window", "border"),
    [
        ((16, 20), 2, "reflect"),
        ((16, 20), 2, "shift"),
        ((5, 3), 3, "reflect"),
        ((5, 3), 3, "drop"),
        ((40, 48), 1, "shift"),
        ((90, 200), 1, "reflect"),
    ],
)
def test_a_patch_may_differ_from_the_indexed_one(
    data: Data, size: tuple[int, int], z_window: int, border: Border
) -> None:
    data.index(border=border)
    dataset = AnchorDataset(data.path, patch_size=size, z_window=z_window, normalization="none")
    batch = dataset.__getitems__([0, 5, len(dataset) - 1])
    for patch, row in zip(batch["anchor"].numpy(), batch["rows"].tolist(), strict=True):
        np.testing.assert_array_equal(patch, data.crop(dataset.anchors.iloc[row], size, z_window))


def test_patches_are_normalised_by_their_fov(data: Data) -> None:
    data.index()
    dataset = AnchorDataset(data.path)
    batch = dataset.__getitems__([0, len(dataset) - 1])
    for patch, row in zip(batch["anchor"].numpy(), batch["rows"].tolist(), strict=True):
        anchor = dataset.anchors.iloc[row]
        image = data.pixels[anchor[EXPERIMENT], anchor[FOV]].astype(np.float64)
        image = image[:, ::-1] if anchor[EXPERIMENT] == "b" else image
        mean, std = (getattr(image, name)(axis=(0, 2, 3, 4))[:, None, None, None] for name in ("mean", "std"))
        np.testing.assert_allclose(patch, (data.crop(anchor) - mean) / std, rtol=1e-4, atol=1e-5)


def test_rows_are_those_of_the_table_and_positions_those_of_valid_anchors(data: Data) -> None:
    table = data.index()
    dataset = AnchorDataset(data.path)
    # Tracks run to the last frame, so what has no positive is in it: in the middle of the table, too.
    last = (table[T] == SHAPE[0] - 1).to_numpy()
    assert last[: len(table) // 2].any()
    pd.testing.assert_frame_equal(dataset.anchors, table.reset_index(drop=True))
    pd.testing.assert_frame_equal(dataset.valid_anchors, table[~last].reset_index(drop=True))
    assert dataset.valid_rows.tolist() == np.flatnonzero(~last).tolist()
    assert len(dataset) == (~last).sum()
    assert dataset.channels == 2
    positions = [len(dataset) - 1, 0, 7]
    batch = dataset.__getitems__(positions)
    assert batch["positions"].tolist() == positions
    assert batch["rows"].tolist() == dataset.valid_rows[positions].tolist()


@pytest.mark.parametrize("positive", ["lineage", "self"])
@pytest.mark.parametrize("normalization", ["none", "mean_std"])
def test_any_row_of_the_table_is_read_with_or_without_a_positive(
    data: Data, positive: Any, normalization: Any
) -> None:
    table = data.index()
    dataset = AnchorDataset(data.path, positive=positive, normalization=normalization)
    rows = np.random.default_rng(0).permutation(len(table))
    patches = dataset.read(rows)
    assert patches.shape == (len(table), 2, 1, *PATCH)
    assert patches.dtype == torch.float32
    if normalization == "none":
        for patch, row in zip(patches.numpy(), rows, strict=True):
            np.testing.assert_array_equal(patch, data.crop(table.iloc[row]))
    batch = dataset.__getitems__(range(len(dataset)))
    assert torch.equal(dataset.read(batch["rows"].numpy()), batch["anchor"])
    assert torch.equal(dataset.read(batch["positive_rows"].tolist()), batch["positive"])


def test_rows_that_there_are_not_are_refused_and_what_cannot_be_read_is_said(data: Data) -> None:
    table = data.index()
    for reading in (Reading(), Reading(on_error="skip")):
        dataset = AnchorDataset(data.path, reading=reading)
        for rows in ([], [-1], [len(table)], [0.5], [[1]], [True]):
            with pytest.raises(InvalidInputError, match=r"rows=.* the rows of the table"):
                dataset.read(rows)  # type: ignore[arg-type]  # the mistake under test
        hit = np.flatnonzero((table[EXPERIMENT] == "a") & (table[FOV] == "A/1/0") & (table[T] == 2))
        for file in chunks_of(data, "a", "A/1/0", 2):
            file.write_bytes(b"broken")
        with pytest.raises(StoreError, match=r"a\.zarr' fov='A/1/0' t=2"):
            dataset.read(hit)
        patches, failed = dataset.try_read([0, int(hit[0])])
        assert list(failed) == [1]
        assert torch.isfinite(patches[0]).all()
        assert torch.isnan(patches[1]).all()


def test_positives_are_of_the_lineage_within_tau(data: Data) -> None:
    data.index()
    dataset = AnchorDataset(data.path)
    batch = dataset.__getitems__(Rows(range(len(dataset)), 0, 0))
    anchors, positives = (dataset.anchors.iloc[batch[rows].numpy()] for rows in ("rows", "positive_rows"))
    assert (anchors[LINEAGE_ID].to_numpy() == positives[LINEAGE_ID].to_numpy()).all()
    assert set(positives[T].to_numpy() - anchors[T].to_numpy()) == {1, 2}
    assert batch["rows"].tolist() == dataset.valid_rows.tolist()


def test_a_batch_is_a_function_of_seed_epoch_and_number(data: Data) -> None:
    data.index()
    dataset, other = AnchorDataset(data.path), AnchorDataset(data.path, seed=1)
    rows = list(range(len(dataset)))

    def positives(of: AnchorDataset, batch: Sequence[int]) -> list[int]:
        drawn: list[int] = of.__getitems__(batch)["positive_rows"].tolist()
        return drawn

    first = positives(dataset, Rows(rows, 1, 2))
    assert first == positives(dataset, Rows(rows, 1, 2))
    assert positives(dataset, rows) == positives(dataset, rows)
    for different in (
        positives(dataset, Rows(rows, 2, 1)),
        positives(dataset, rows),
        positives(other, Rows(rows, 1, 2)),
    ):
        assert first != different


def test_the_own_patch_as_positive(data: Data) -> None:
    table = data.index()
    dataset = AnchorDataset(data.path, positive="self", normalization="none")
    assert len(dataset) == len(table)
    batch = dataset.__getitems__([3, 1])
    assert batch["positive_rows"].tolist() == [3, 1]
    assert torch.equal(batch["anchor"], batch["positive"])
    assert batch["anchor"].data_ptr() != batch["positive"].data_ptr()


def test_meta_is_columnar_and_plain(data: Data) -> None:
    data.index()
    dataset = AnchorDataset(data.path)
    rows = [7, 0, 7]
    meta = dataset.__getitems__(rows)["anchor_meta"]
    assert list(meta) == [column.name for column in ANCHOR_COLUMNS]
    for column in ANCHOR_COLUMNS:
        want = dataset.anchors[column.name].iloc[rows]
        if column.dtype == "dictionary":
            assert meta[column.name] == want.tolist()
            assert all(type(value) is str for value in meta[column.name])
        else:
            np.testing.assert_array_equal(meta[column.name], want.to_numpy())


def test_an_unknown_condition_is_none(data: Data) -> None:
    table = data.index()
    table[CONDITION] = pd.Categorical([None] * len(table))
    dataset = AnchorDataset(
        table,
        experiments=data.experiments,
        patch_size=PATCH,
        pairing=Pairing(tau=TauRange(frames=(1, 1))),
        normalization="none",
    )
    assert dataset.__getitems__([0, 1])["anchor_meta"][CONDITION] == [None, None]


def test_one_item_is_a_batch_of_one(data: Data) -> None:
    data.index()
    dataset = AnchorDataset(data.path)
    item, batch = dataset[5], dataset.__getitems__([5])
    assert torch.equal(item["anchor"], batch["anchor"][0])
    assert int(item["positive_rows"]) == int(batch["positive_rows"][0])
    assert item["anchor_meta"][FOV] == batch["anchor_meta"][FOV][0]
    for row in (-1, len(dataset)):
        with pytest.raises(IndexError, match=f"position={row}"):
            dataset[row]


def test_finer_pixels_are_resampled_to_the_same_size_in_micrometres(
    tmp_path: Path, write_store: WriteStore
) -> None:
    """A ramp in micrometres looks the same in both stores."""
    experiments = []
    for name, size in (("a", 0.5), ("b", 0.25)):
        count = int(32 / size)
        ramp = np.broadcast_to((np.arange(count) + 0.5) * size, (2, 1, 1, count, count)).astype(np.float32)
        store = write_store(tmp_path / f"{name}.zarr", {FOVS[0]: ramp}, ["Phase"], pixel_size_um=(size, size))
        folder = tmp_path / name / FOVS[0]
        folder.mkdir(parents=True)
        middle = (count - 1) / 2
        pd.DataFrame({"track_id": 1, "t": [0, 1], "y": middle, "x": middle}).to_csv(
            folder / "t.csv", index=False
        )
        experiments.append(
            Experiment(name=name, data_path=store, tracks_path=tmp_path / name, channels=("Phase",))
        )
    data = Data(tmp_path, Experiments(experiments=tuple(experiments)), {})
    data.index((16, 16))
    dataset = AnchorDataset(data.path, normalization="none")
    patches = dataset.__getitems__([0, 1])["anchor"][:, 0, 0].numpy()
    assert list(dataset.valid_anchors[EXPERIMENT]) == ["a", "b"]
    np.testing.assert_allclose(patches[0][3], 12.25 + 0.5 * np.arange(16))
    # Antialiasing mixes in what lies beyond the crop's edge as if it were the edge.
    np.testing.assert_allclose(patches[1][3, 1:-1], patches[0][3, 1:-1], atol=0.26)
    np.testing.assert_allclose(np.diff(patches[1][3, 1:-1]), 0.5, atol=1e-5)
    coarse = AnchorDataset(data.path, normalization="none", patch_size=(8, 8), pixel_size_um=1.0)
    assert (dataset.shown.pixel_size_um, coarse.shown.pixel_size_um) == (0.5, 1.0)
    assert coarse.shown.experiments == ("a", "b")
    assert coarse.shown.size == (8, 8)
    for patch in coarse.read([0, 1])[:, 0, 0].numpy():
        np.testing.assert_allclose(patch[3, 1:-1], 12.5 + np.arange(1, 7), atol=0.5)
        np.testing.assert_allclose(np.diff(patch[3, 1:-1]), 1.0, atol=1e-5)


@pytest.mark.parametrize(
    ("asked", "message"),
    [(0.5, "the pixel size of a, b is not known"), (0.0, "above 0"), (np.nan, "above 0")],
)
def test_a_pixel_size_is_asked_for_where_it_is_known_only(data: Data, asked: float, message: str) -> None:
    data.index()
    with pytest.raises(InvalidInputError, match=message):
        AnchorDataset(data.path, normalization="none", pixel_size_um=asked)


def test_an_unreadable_patch_is_an_error(data: Data) -> None:
    data.index()
    for file in chunks_of(data, "a", "A/1/0", 2):
        file.unlink()
    dataset = AnchorDataset(data.path)
    broken = dataset.valid_anchors.query("experiment == 'a' and fov == 'A/1/0' and t == 2").index
    with pytest.raises(StoreError, match=r"a\.zarr' fov='A/1/0' t=2 channel='Phase', 'RFP'"):
        dataset.__getitems__([0, int(broken[0])])


@pytest.mark.parametrize("positive", ["lineage", "self"])
def test_unreadable_anchors_are_replaced_when_asked(data: Data, positive: Any) -> None:
    data.index()
    for file in chunks_of(data, "b", "B/1/0", 2):
        file.write_bytes(file.read_bytes()[:9])
    dataset = AnchorDataset(
        data.path, positive=positive, normalization="none", reading=Reading(on_error="skip")
    )
    anchors = dataset.valid_anchors
    hit = anchors.query("experiment == 'b' and fov == 'B/1/0' and t == 2").index.to_list()
    rows = Rows([0, *hit[:2], 4], 3, 5)
    with pytest.warns(UserWarning, match=r"2 of 4 anchors were replaced .*epoch 3, batch 5.* t=2"):
        batch = dataset.__getitems__(rows)
    assert dataset.skipped == 2
    taken = batch["positions"].tolist()
    assert batch["rows"].tolist() == dataset.valid_rows[taken].tolist()
    assert [taken[0], taken[3]] == [0, 4]
    assert len(set(taken)) == 4
    assert not set(taken) & set(hit)
    for name in (EXPERIMENT, CONDITION):
        assert anchors[name].iloc[taken].tolist() == anchors[name].iloc[rows].tolist()
    for view, of in (("anchor", "rows"), ("positive", "positive_rows")):
        for patch, row in zip(batch[view].numpy(), batch[of].tolist(), strict=True):
            np.testing.assert_array_equal(patch, data.crop(dataset.anchors.iloc[row]))
    with pytest.warns(UserWarning, match="2 of 4"):
        assert dataset.__getitems__(rows)["positions"].tolist() == taken
    assert dataset.skipped == 4


def test_a_cell_without_a_readable_anchor_is_an_error(data: Data) -> None:
    data.index()
    for t in range(SHAPE[0]):
        for file in chunks_of(data, "b", "B/1/0", t):
            file.unlink()
    dataset = AnchorDataset(data.path, reading=Reading(on_error="skip"))
    with pytest.raises(StoreError, match=r"b\.zarr' fov='B/1/0'"):
        dataset.__getitems__(
            [int(dataset.valid_anchors.query("experiment == 'b' and fov == 'B/1/0'").index[0])]
        )


def test_a_pickled_dataset_is_small_and_reads_the_same(data: Data) -> None:
    data.index()
    dataset = AnchorDataset(data.path)
    rows = Rows([1, 5, 9], 0, 1)
    want = dataset.__getitems__(rows)
    sent = pickle.dumps(dataset)
    assert len(sent) < 20_000
    got = pickle.loads(sent).__getitems__(rows)
    for name in ("anchor", "positive", "rows", "positive_rows"):
        assert torch.equal(got[name], want[name])
    for name, values in want["anchor_meta"].items():
        np.testing.assert_array_equal(got["anchor_meta"][name], values)


def test_bad_arguments_are_refused_before_work_starts(data: Data) -> None:
    table = data.index()

    def refused(message: str, anchors: Any = data.path, **options: Any) -> None:
        with pytest.raises(InvalidInputError, match=message):
            AnchorDataset(anchors, **options)

    refused("positive='other': allowed is", positive="other")
    refused("seed=-1", seed=-1)
    refused(r"patch_size=\(0, 8\)", patch_size=(0, 8))
    refused("z_window.slices=0", z_window=0)
    refused(r"z_window and patch_size need \(4, 8, 12\)", z_window=4)
    refused("method='minmax'", normalization="minmax")
    refused("gone.parquet", data.folder / "gone.parquet")
    refused("experiments=None: it must be given", table)
    refused("patch_size=None", table, experiments=data.experiments)
    refused("pairing.tau=None", table, experiments=data.experiments, patch_size=PATCH)
    refused("statistics=None", table, experiments=data.experiments, patch_size=PATCH, positive="self")
    refused("table is empty", table.iloc[:0], experiments=data.experiments, patch_size=PATCH)
    refused("none of the .* anchors has a positive", pairing=Pairing(tau=TauRange(frames=(9, 9))))
    outside = table.assign(t=table[T] + 1)
    refused(
        "lie outside their image", outside, experiments=data.experiments, patch_size=PATCH, positive="self"
    )
    with pytest.raises(InvalidInputError, match="on_error='ignore'"):
        Reading(on_error="ignore")  # type: ignore[arg-type]  # the mistake under test
    dataset = AnchorDataset(data.path)
    for rows in ([], [-1], [len(dataset)]):
        with pytest.raises(InvalidInputError, match=r"positions=\["):
            dataset.__getitems__(rows)
