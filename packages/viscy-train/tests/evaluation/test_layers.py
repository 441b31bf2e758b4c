import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import zarr

from viscy_data import InvalidInputError, claimed
from viscy_train.cli.app import main
from viscy_train.evaluation import Controls, correct_by_controls, layers, read_embeddings
from viscy_train.evaluation.correction import Method
from viscy_train.evaluation.layers import DONE, write_corrected
from viscy_train.evaluation.reading import quiet_anndata

MOCK = Controls("condition", "mock")


def embeddings(path: Path, *, rows: int = 90, consolidated: bool = False) -> Path:
    """Write three experiments that lie apart, mixed through the file, with one row that could not be read."""
    rng = np.random.default_rng(0)
    experiment = rng.permutation(np.arange(rows) % 3)
    obs = pd.DataFrame(
        {
            "experiment": pd.Categorical([f"e{one}" for one in experiment]),
            "condition": pd.Categorical(np.where(rng.random(rows) < 0.6, "mock", "drug")),
            "hours_post_infection": rng.integers(0, 2, rows) * 6.0,
        },
        index=pd.Index([f"cell {i}" for i in range(rows)], dtype=object),
    )
    values = (rng.normal(size=(rows, 5)) + 10 * experiment[:, None]).astype(np.float32)
    values[7] = np.nan
    with quiet_anndata():
        anndata.AnnData(values, obs=obs, uns={"viscy_train": {"version": "0"}}).write_zarr(path)
    if not consolidated:
        (path / "zarr.json").write_text(
            json.dumps(json.loads((path / "zarr.json").read_text()) | {"consolidated_metadata": None})
        )
    return path


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    ("method", "hours", "consolidated"),
    [("scale", None, False), ("whiten", None, True), ("scale", 6.0, False)],
)
def test_the_layer_is_what_correction_of_the_whole_array_gives(
    tmp_path: Path, method: Method, hours: float | None, consolidated: bool
) -> None:
    path = embeddings(tmp_path / "e.zarr", consolidated=consolidated, rows=180)
    before = read_embeddings(path)

    done = write_corrected(path, MOCK, method=method, hours=hours)

    after = read_embeddings(path)
    np.testing.assert_array_equal(after.embedding, before.embedding)
    pd.testing.assert_frame_equal(after.obs, before.obs)
    expected = correct_by_controls(before.embedding, before.obs, MOCK, method=method, hours=hours)
    layer = read_embeddings(path, layer="corrected")
    np.testing.assert_allclose(layer.embedding, expected, rtol=1e-5, atol=1e-5)
    assert np.isnan(layer.embedding[7]).all()
    assert (done.cells, done.not_finite, done.experiments) == (179, 1, 3)
    said = json.loads(after.provenance[DONE]["corrected"])
    assert (said["controls"], said["method"], said["hours"]) == ("condition=mock", method, hours)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["e.zarr"]
    with quiet_anndata():
        assert anndata.read_zarr(path).layers["corrected"].shape == (180, 5)


def test_a_layer_is_replaced_only_where_asked_and_of_our_making(tmp_path: Path) -> None:
    path = embeddings(tmp_path / "e.zarr")
    write_corrected(path, MOCK)
    first = contents(path)
    with pytest.raises(InvalidInputError, match=r"layer='corrected' exists .* say --overwrite"):
        write_corrected(path, MOCK, method="whiten")
    assert contents(path) == first
    write_corrected(path, MOCK, method="whiten", overwrite=True)
    assert json.loads(read_embeddings(path).provenance[DONE]["corrected"])["method"] == "whiten"
    write_corrected(path, MOCK, layer="other")
    assert set(read_embeddings(path).provenance[DONE]) == {"corrected", "other"}

    zarr.open_group(path, mode="r+").create_array("layers/mine", shape=(90, 5), dtype="float32")
    with pytest.raises(InvalidInputError, match="no mark of this program, and stays"):
        write_corrected(path, MOCK, layer="mine", overwrite=True)


def test_whatever_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = embeddings(tmp_path / "e.zarr")
    before = contents(path)
    real, calls = correct_by_controls, []

    def failing(*given: object, **named: object) -> object:
        calls.append(1)
        if len(calls) == 4:  # one look at all of it, two experiments, and then
            raise OSError(28, "No space left on device")
        return real(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(layers, "correct_by_controls", failing)
    with pytest.raises(OSError, match="cannot be written: No space left"):
        write_corrected(path, MOCK)
    assert contents(path) == before
    assert [one.name for one in tmp_path.iterdir()] == ["e.zarr"]


def test_what_a_killed_run_left_is_cleared_and_a_layer_moved_aside_comes_back(tmp_path: Path) -> None:
    path = embeddings(tmp_path / "e.zarr")
    write_corrected(path, MOCK)
    (path / "layers" / "corrected").rename(tmp_path / ".e.zarr.corrected.old")
    (tmp_path / ".e.zarr.corrected").mkdir()
    (tmp_path / "..e.zarr.corrected.999999999.partial").mkdir()
    with pytest.raises(InvalidInputError, match="exists"):
        write_corrected(path, MOCK)
    assert [one.name for one in tmp_path.iterdir()] == ["e.zarr"]
    assert read_embeddings(path, layer="corrected").embedding.shape == (90, 5)


def test_the_command_says_what_it_did_and_what_cannot_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = embeddings(tmp_path / "e.zarr")
    assert main(["correct", str(path), "--controls", "condition=mock"]) == 0
    said = capsys.readouterr().out
    assert "89 cells of 3 experiments relative to" in said
    assert "1 rows are not finite" in said
    assert "--layer corrected" in said
    for arguments, reason in (
        (["--controls", "condition=mokc", "--overwrite"], "Did you mean 'mock'"),
        (["--controls", "condition"], "write condition=uninfected"),
        (["--controls", "condition=mock", "--by-hours", "0.5", "--layer", "b/c"], "letters, digits"),
        (["--controls", "condition=drug", "--layer", "b", "--by-hours", "1"], "from .* h.* has . such cells"),
    ):
        assert main(["correct", str(path), *arguments]) == 1
        found = capsys.readouterr().err
        assert found.startswith("error: ")
        assert found.count("\n") == 1
        with pytest.raises(AssertionError, match=reason):
            raise AssertionError(found)
    assert main(["correct", str(tmp_path / "no.zarr"), "--controls", "a=b"]) == 1
    assert "does not exist" in capsys.readouterr().err
    with pytest.raises(InvalidInputError, match=r"layer='corected' .* Did you mean 'corrected'"):
        read_embeddings(path, layer="corected")


def test_a_link_to_a_file_on_another_disk_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk").mkdir()
    path = embeddings(tmp_path / "disk" / "e.zarr")
    link = tmp_path / "link.zarr"
    link.symlink_to(path)
    rename = Path.rename

    def on_one_disk(self: Path, target: Path) -> Path:
        assert self.parent.is_relative_to(tmp_path / "disk"), "what is moved lies on the disk it is moved to"
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", on_one_disk)
    write_corrected(link, MOCK)
    assert read_embeddings(path, layer="corrected").embedding.shape == (90, 5)
    assert [one.name for one in (tmp_path / "disk").iterdir()] == ["e.zarr"]
    assert [one.name for one in tmp_path.iterdir() if one.name[0] == "."] == []


def test_one_process_at_a_time_writes_layers(tmp_path: Path) -> None:
    path = embeddings(tmp_path / "e.zarr")
    with (
        claimed(tmp_path / ".e.zarr.layers", kind="folder"),
        pytest.raises(InvalidInputError, match="is being written by process"),
    ):
        write_corrected(path, MOCK)
    write_corrected(path, MOCK)


def test_a_file_without_a_finite_row_is_refused(tmp_path: Path) -> None:
    path = embeddings(tmp_path / "e.zarr")
    zarr.open_group(path)["X"][:] = np.nan  # type: ignore[index]  # an array
    with pytest.raises(InvalidInputError, match="none of 90 rows is finite"):
        write_corrected(path, MOCK)
    assert not (path / "layers" / "corrected").exists()
