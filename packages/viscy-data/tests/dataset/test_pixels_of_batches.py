"""What a batch shows of a stack, and in which dtype it comes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from viscy_data.dataset.anchor_dataset import AnchorDataset, Pairing, Reading
from viscy_data.dataset.on_device import normalize_batch
from viscy_data.images.statistics import compute_statistics
from viscy_data.images.z_window import ZWindow
from viscy_data.sampling.batch import IndexBatch
from viscy_data.tables.experiment import Experiment
from viscy_data.tables.experiments import Experiments
from viscy_data.tables.tau import TauRange

Pixels = NDArray[Any]

CHANNELS = ("Phase", "RFP")
SHAPE = (3, 2, 5, 40, 44)


@dataclass
class Project:
    folder: Path
    write_store: Callable[..., Path]
    table: pd.DataFrame
    experiments: Experiments
    pixels: dict[str, Pixels]

    @classmethod
    def write(
        cls,
        folder: Path,
        write_store: Callable[..., Path],
        pixels: Callable[[int], Pixels],
        sizes: tuple[float, ...] = (0.5,),
    ) -> "Project":
        rng = np.random.default_rng(0)
        experiments, tables, held = [], [], {}
        for number, size in enumerate(sizes):
            name = "abc"[number]
            held[name] = pixels(number)
            store = write_store(
                folder / f"{name}.zarr", {"A/1/0": held[name]}, CHANNELS, pixel_size_um=(size, size)
            )
            experiments.append(Experiment(name=name, data_path=store, tracks_path=store, channels=CHANNELS))
            table = pd.DataFrame({"t": np.repeat(range(3), 12), "track_id": [*range(12)] * 3})
            for axis, extent in (("z", 5), ("y_crop", 40), ("x_crop", 44)):
                table[axis] = rng.integers(0, extent, len(table))
            tables.append(table.assign(experiment=name, fov="A/1/0", parent_track_id=-1, condition="none"))
        of = Experiments(experiments=tuple(experiments))
        return cls(folder, write_store, pd.concat(tables, ignore_index=True), of, held)

    def dataset(self, **options: Any) -> AnchorDataset:
        raw = options.get("normalization") == "none"
        statistics = (
            None if raw else compute_statistics(self.experiments, progress=False, missing_chunks="fill")
        )
        given: dict[str, Any] = {"statistics": statistics}
        if options.get("positive") != "self":
            given["pairing"] = Pairing(tau=TauRange(frames=(1, 2)))
        return AnchorDataset(
            self.table, experiments=self.experiments, patch_size=(12, 10), **(given | options)
        )


@pytest.fixture
def project(tmp_path: Path, write_store: Any, make_pixels: Any) -> Callable[..., Project]:
    def write(sizes: tuple[float, ...] = (0.5,)) -> Project:
        return Project.write(tmp_path, write_store, lambda seed: make_pixels(SHAPE, seed), sizes)

    return write


@pytest.fixture
def slices(tmp_path: Path, write_store: Any) -> Project:
    """A stack in which every pixel is the number of its slice plus one, times ten in the second channel."""
    values = np.arange(1, 6)[:, None, None] * np.array([1, 10])[:, None, None, None]
    stack = np.broadcast_to(values, SHAPE).astype(np.uint16)
    return Project.write(tmp_path, write_store, lambda _: stack)


CASES: dict[str, tuple[tuple[float, ...], dict[str, Any], Any]] = {
    "one slice": ((0.5,), {}, torch.uint16),
    "a window and an offset": ((0.5,), {"z_window": ZWindow(3, offset=-1)}, torch.uint16),
    "by channel": (
        (0.5,),
        {"normalization": {"RFP": "percentiles", "Phase": {"level": "frame"}}},
        torch.uint16,
    ),
    "raw": ((0.5,), {"normalization": "none"}, torch.uint16),
    "resampled": ((0.5, 0.3), {}, torch.float32),
    "maximum": ((0.5,), {"z_window": ZWindow(3, projection={"RFP": "max"})}, torch.uint16),
    "mean": ((0.5,), {"z_window": ZWindow(3, projection="mean")}, torch.float32),
    "shifted": ((0.5,), {"z_window": ZWindow(2, shift=1)}, torch.uint16),
    "an image on its own": ((0.5,), {"positive": "self"}, torch.uint16),
}


@pytest.mark.parametrize("case", CASES)
def test_batches_as_stored_become_the_same_values(project: Callable[..., Project], case: str) -> None:
    """At borders, resampled, projected, with filled chunks: within 1e-5 of those made float32 at once."""
    sizes, options, dtype = CASES[case]
    written = project(sizes)
    (written.folder / "a.zarr/A/1/0/0/c/1/0/2/0/1").unlink()
    options = {"reading": Reading(missing_chunks="fill")} | options
    stored, finished = (written.dataset(dtype=one, **options) for one in ("source", "float32"))
    batch = IndexBatch(range(len(stored)), epoch=2, number=3)
    raw, wanted = stored.__getitems__(batch), finished.__getitems__(batch)
    assert raw["anchor"].dtype == raw["positive"].dtype == dtype
    found = normalize_batch(raw)
    assert found.keys() == wanted.keys()
    for view in ("anchor", "positive"):
        assert found[view].dtype == torch.float32
        torch.testing.assert_close(found[view], wanted[view], rtol=1e-5, atol=1e-5)
        assert raw[view].nbytes * (2 if dtype == torch.uint16 else 1) == wanted[view].nbytes
    assert (found["rows"] == wanted["rows"]).all()
    assert normalize_batch(wanted)["anchor"] is wanted["anchor"]
    torch.testing.assert_close(stored.read([3]), finished.read([3]), rtol=0, atol=0)


def test_only_batches_that_were_computed_with_are_float32(project: Callable[..., Project]) -> None:
    written = project((0.5, 0.3))
    dataset = written.dataset(dtype="source", positive="self")
    native = np.flatnonzero(dataset.anchors["experiment"] == "a")
    assert dataset.__getitems__(native.tolist())["anchor"].dtype == torch.uint16
    assert dataset.__getitems__([0, len(dataset) - 1])["anchor"].dtype == torch.float32


def test_a_stand_in_of_another_dtype_changes_no_value(project: Callable[..., Project]) -> None:
    written = project((0.5,))
    float_store = written.folder / "b.zarr"
    pixels = (written.pixels["a"] / 7).astype(np.float32)
    written.write_store(float_store, {"A/1/0": pixels}, CHANNELS, pixel_size_um=(0.5, 0.5))
    (one,) = written.experiments.experiments
    other = one.model_copy(update={"name": "b", "data_path": float_store, "tracks_path": float_store})
    written.experiments = Experiments(experiments=(one, other))
    written.table = pd.concat([written.table, written.table.assign(experiment="b")], ignore_index=True)
    rows = [0, 1, len(written.table) - 1]
    raw, wanted = (
        written.dataset(dtype=dtype, positive="self").__getitems__(rows) for dtype in ("source", "float32")
    )
    assert raw["anchor"].dtype == torch.float32
    torch.testing.assert_close(normalize_batch(raw)["anchor"], wanted["anchor"], rtol=0, atol=0)


@pytest.mark.parametrize("offset", [-2, 0, 1])
def test_windows_show_the_slices_they_say(slices: Project, offset: int) -> None:
    window = ZWindow(3, offset=offset)
    patches = slices.dataset(z_window=window, normalization="none").read(range(len(slices.table)))
    for patch, z in zip(patches.numpy(), slices.table["z"].tolist(), strict=True):
        first = min(max(z - 1 + offset, 0), 2)
        assert (patch[0, :, 0, 0] - 1).tolist() == [first, first + 1, first + 2]
    projected = ZWindow(3, offset=offset, projection={"Phase": "max", "RFP": "slice"})
    shown = slices.dataset(z_window=projected, normalization="none").read(range(len(slices.table)))
    assert shown.shape[2] == 1
    for patch, z in zip(shown.numpy(), slices.table["z"].tolist(), strict=True):
        first = min(max(z - 1 + offset, 0), 2)
        assert patch[0, 0, 0, 0] == first + 3
        assert patch[1, 0, 0, 0] == 10 * (1 + min(max(z, first), first + 2))


@pytest.mark.parametrize("positive", ["self", "lineage"])
def test_windows_shift_purely_and_in_training_only(slices: Project, positive: Any) -> None:
    slices.table["z"] = 2
    dataset = slices.dataset(z_window=ZWindow(1, shift=2), normalization="none", positive=positive)

    def shifts(epoch: int, number: int) -> NDArray[Any]:
        batch = dataset.__getitems__(IndexBatch(range(len(dataset)), epoch=epoch, number=number))
        views = [batch[view][:, 0, 0, 0, 0].numpy() - 3 for view in ("anchor", "positive")]
        return np.stack(views).astype(int)

    drawn = np.stack([shifts(0, number) for number in range(8)])
    assert set(drawn.ravel().tolist()) == {-2, -1, 0, 1, 2}
    assert abs(np.bincount(drawn.ravel() + 2) / drawn.size - 0.2).max() < 0.1
    assert (drawn[:, 0] != drawn[:, 1]).any()
    assert (shifts(1, 0) != drawn[0]).any()
    np.testing.assert_array_equal(shifts(0, 5), drawn[5])
    assert (dataset.read(range(5))[:, 0] == 3).all()
    still = dataset.unshifted().__getitems__(range(len(dataset)))
    assert (still["anchor"][:, 0] == 3).all()
    assert (still["positive"][:, 0] == 3).all()
    assert dataset.z_window.shift == 2


def test_only_the_slices_needed_are_read(project: Callable[..., Project]) -> None:
    written = project()
    for z in (0, 1, 4):
        for file in (written.folder / "a.zarr/A/1/0/0").glob(f"c/*/*/{z}/*/*"):
            file.write_bytes(b"broken")
    written.table["z"] = 3
    window = ZWindow(2, projection="max")
    dataset = written.dataset(z_window=window, normalization="none")
    assert len(dataset.read(range(10))) == 10
