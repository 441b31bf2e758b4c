from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from viscy_data.errors import InvalidInputError
from viscy_data.images.plates import create_plate, staged, write_experiments, write_tracks
from viscy_data.images.store import describe
from viscy_data.tables.experiment import Experiment


def write_two(folder: Path, text: str, *, fail: bool = False) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "inner.txt").write_text(text)
    if fail:
        raise KeyError("full")
    (folder / "last.txt").write_text(text)


ENTRIES = ("data", "last.txt")


def test_entries_appear_together_and_others_stay(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with staged(out, ENTRIES, overwrite=False) as folder:
        write_two(folder, "first")
        assert not out.exists()
    (out / "mine.txt").write_text("mine")
    with staged(out, ENTRIES, overwrite=True) as folder:
        write_two(folder, "second")
        assert (out / "last.txt").read_text() == "first"
    assert (out / "data" / "inner.txt").read_text() == (out / "last.txt").read_text() == "second"
    assert (out / "mine.txt").read_text() == "mine"
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_a_failing_block_changes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with staged(out, ENTRIES, overwrite=False) as folder:
        write_two(folder, "first")
    with pytest.raises(KeyError, match="full"), staged(out, ENTRIES, overwrite=True) as folder:
        write_two(folder, "second", fail=True)
    assert (out / "last.txt").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_existing_entries_and_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "last.txt").write_text("mine")
    with (
        pytest.raises(InvalidInputError, match=r"already holds last\.txt"),
        staged(tmp_path, ENTRIES, overwrite=False),
    ):
        pytest.fail("the block must not run")
    with (
        pytest.raises(InvalidInputError, match="is a file"),
        staged(tmp_path / "last.txt", (), overwrite=True),
    ):
        pytest.fail("the block must not run")


@pytest.mark.parametrize("pixel_size", [None, 0.325])
@pytest.mark.parametrize("interval", [None, 12.0])
def test_plate_says_what_is_known(tmp_path: Path, pixel_size: float | None, interval: float | None) -> None:
    from iohub.ngff import open_ome_zarr

    path = tmp_path / "plate.zarr"
    shape = (2, 2, 1, 300, 40)
    create_plate(
        path,
        {"A/1/0": shape, "B/2/1": shape},
        channels=["a", "b"],
        dtype="uint8",
        pixel_size_um=pixel_size,
        interval_minutes=interval,
    )
    experiment = Experiment(name="x", data_path=path, tracks_path=path, channels=("a",))
    for info in describe(experiment):
        assert info.shape == shape
        assert info.channels == ("a", "b")
        assert info.pixel_size_um == (None if pixel_size is None else (pixel_size, pixel_size))
        assert info.slice_um is None
    with open_ome_zarr(path, mode="r") as plate:
        position = plate["B/2/1"]
        assert position["0"].chunks == (1, 1, 1, 256, 256)
        assert position.scale[0] == (1.0 if interval is None else interval * 60)
        assert position.axes[0].unit == (None if interval is None else "second")
        assert position.axes[-1].unit == (None if pixel_size is None else "micrometer")


def test_chunks_of_zeros_are_written(tmp_path: Path) -> None:
    images = create_plate(
        tmp_path / "plate.zarr",
        {"A/1/0": (1, 1, 1, 300, 300)},
        channels=["a"],
        dtype=np.uint16,
        pixel_size_um=None,
        interval_minutes=None,
    )
    images["A/1/0"][0] = np.zeros((1, 1, 300, 300), np.uint16)
    chunks = (tmp_path / "plate.zarr" / "A/1/0/0/c").rglob("*")
    assert sum(path.is_file() for path in chunks) == 4


def test_tracks_and_experiments_files(tmp_path: Path) -> None:
    path = write_tracks(tmp_path, "A/1/0", pd.DataFrame({"track_id": [1], "y": [2.5]}))
    assert path == tmp_path / "A/1/0/tracks.csv"
    assert path.read_bytes() == b"track_id,y\n1,2.5\n"
    file = write_experiments(tmp_path / "e.yaml", [{"name": "a", "start_hpi": None}], note="one\n\ntwo")
    assert file.read_text().startswith("# one\n#\n# two\nexperiments:\n- name: a\n")
    assert yaml.safe_load(file.read_text()) == {"experiments": [{"name": "a", "start_hpi": None}]}
