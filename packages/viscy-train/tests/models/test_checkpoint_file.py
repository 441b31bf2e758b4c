"""Files that are neither checkpoints nor embeddings: one sentence, exit status 1, and no code is run."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr

from viscy_data import statistics_path
from viscy_data.errors import InvalidInputError
from viscy_data.indexing.run import build_index
from viscy_data.synthetic.writing import synthesize
from viscy_data.tables.tau import TauRange
from viscy_train.cli.app import main
from viscy_train.encoder import EncoderOptions
from viscy_train.evaluation import evaluate, read_embeddings
from viscy_train.models.packing import model_of_checkpoint
from viscy_train.module import ContrastiveModule
from viscy_train.packed import TrainedOn


@pytest.fixture(scope="module")
def anchors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    experiments = synthesize(
        folder / "data", experiments=1, wells=2, fovs=1, frames=3, cells=4, size=96, progress=False
    )
    tau = TauRange(hours=(0.5, 1.0))
    build_index(experiments, folder / "anchors.parquet", patch_size=(32, 32), tau=tau, progress=False)
    return folder / "anchors.parquet"


def spoil(path: Path, how: str) -> None:
    """Write what is not a checkpoint."""
    contents: dict[str, Any] = {"empty": b"", "text": b"hello\n", "half": b"PK\x03\x04" + bytes(90)}
    if how == "folder":
        path.mkdir()
    elif how in contents:
        path.write_bytes(contents[how])
    elif how == "code":
        torch.save({"state_dict": Path("code")}, path)
    elif how == "list":
        torch.save([1, 2], path)
    elif how == "other":
        keys = ("hyper_parameters", "datamodule_hyper_parameters", "state_dict")
        torch.save({key: {"patches": {}} for key in keys}, path)


HOWS = ["absent", "folder", "empty", "text", "half", "code", "list", "other"]


@pytest.mark.parametrize("how", HOWS)
def test_what_is_no_checkpoint_is_one_sentence(
    how: str, anchors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "last.ckpt", tmp_path / "e.zarr"
    spoil(path, how)
    assert main(["embed", str(path), str(anchors), "-o", str(out)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: checkpoint={str(path)!r}")
    assert said.count("\n") == 1
    assert not out.exists()
    with pytest.raises((InvalidInputError, FileNotFoundError)):
        model_of_checkpoint(path)


@pytest.mark.parametrize("how", ["absent", "folder", "empty", "text", "half", "array", "cut"])
def test_what_is_no_embedding_is_one_sentence(
    how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "e.zarr"
    if how == "array":
        zarr.create_array(path, shape=(4, 2), dtype="f4")
    elif how == "cut":
        group = zarr.open_group(path, mode="w")
        group.create_array("X", shape=(4, 2), dtype="f4")
        (path / "X" / "zarr.json").write_text("{")
    else:
        spoil(path, how)
    assert main(["evaluate", str(path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: path={str(path)!r}")
    assert said.count("\n") == 1


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_an_array_of_python_objects_is_not_read(tmp_path: Path) -> None:
    path, ran = tmp_path / "e.zarr", tmp_path / "ran"
    zarr.open_group(path, mode="w", zarr_format=2).create_array("X", shape=(1, 1), dtype="f4")
    (path / "obs").mkdir()
    meta = {
        "zarr_format": 2,
        "shape": [1],
        "chunks": [1],
        "dtype": "|O",
        "compressor": None,
        "fill_value": None,
    }
    (path / "obs" / ".zarray").write_text(json.dumps(meta | {"order": "C", "filters": [{"id": "pickle"}]}))
    (path / "obs" / "0").write_bytes(f"cbuiltins\nopen\n(V{ran}\nVw\ntR.".encode())
    with pytest.raises(InvalidInputError, match=r"'pickle', which runs code|cannot be read as embeddings"):
        read_embeddings(path)
    assert not ran.exists()


def test_an_array_larger_than_memory_is_not_made(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "e.zarr", mode="w")
    group.create_array("X", shape=(10**12, 768), chunks=(4096, 768), dtype="f4")
    with pytest.raises(InvalidInputError, match=r"claims arrays of .* GB, more than this machine's memory"):
        read_embeddings(tmp_path / "e.zarr")


def checkpoint_of(folder: Path, *, channels: int = 2) -> Path:
    module = ContrastiveModule(EncoderOptions("small", in_channels=channels))
    names = (("Phase3D",), ("RFP",))
    trained = TrainedOn(channels=names, patch_size=(32, 32), normalization="mean_std", pixel_size_um=0.65)
    datamodule = {"trained_on": trained.plain()}
    content = {"hyper_parameters": dict(module.hparams), "datamodule_hyper_parameters": datamodule}
    torch.save(content | {"state_dict": module.state_dict()}, folder / "last.ckpt")
    return folder / "last.ckpt"


@pytest.mark.filterwarnings("always:.* cells could not be read:UserWarning")
def test_missing_chunks_are_filled_where_asked(
    anchors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(anchors.parent, moved)
    for one in (moved / "data").rglob("c/1/**/*"):
        if one.is_file():
            one.unlink()
    table, out = moved / anchors.name, tmp_path / "e.zarr"
    trained = checkpoint_of(tmp_path)
    assert main(["embed", str(trained), str(table), "-o", str(out)]) == 1
    assert "is missing" in capsys.readouterr().err
    assert main(["embed", str(trained), str(table), "-o", str(out), "--missing-chunks", "fill"]) == 0
    asked = read_embeddings(out).embedding
    assert np.isfinite(asked).all()
    capsys.readouterr()
    options = ["--missing-chunks", "error", "--on-error", "skip", "--overwrite", "--memory-mb", "500"]
    assert main(["embed", str(trained), str(table), "-o", str(out), *options, "--cache-mb", "50"]) == 0
    lost = int((read_embeddings(out).obs["t"] == 1).sum())
    assert f"\nwarning: {lost} of " in capsys.readouterr().err
    with pytest.warns(UserWarning, match=f"{lost} of .* rows are not finite and are left out"):
        evaluate(out)


@pytest.mark.parametrize("channels", [1, 3])
def test_an_encoder_of_other_channels_than_its_card_is_one_sentence(
    channels: int, anchors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = checkpoint_of(tmp_path, channels=channels), tmp_path / "e.zarr"
    assert main(["embed", str(path), str(anchors), "-o", str(out)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: checkpoint={str(path)!r} does not hold a model")
    assert f"in_channels={channels}, and its card names 2 channels" in said
    assert said.count("\n") == 1
    assert [one.name for one in tmp_path.iterdir()] == ["last.ckpt"]


def test_statistics_of_another_table_are_one_sentence(
    anchors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table of one data set, and beside it the statistics of another."""
    experiments = synthesize(
        tmp_path / "data", experiments=1, wells=2, fovs=2, frames=3, cells=4, size=96, progress=False
    )
    table, out = tmp_path / "anchors.parquet", tmp_path / "e.zarr"
    build_index(experiments, table, patch_size=(32, 32), tau=TauRange(hours=(0.5, 1.0)), progress=False)
    path = checkpoint_of(tmp_path)
    assert main(["embed", str(path), str(table), "-o", str(out)]) == 0
    shutil.copy(statistics_path(anchors), statistics_path(table))
    capsys.readouterr()
    assert main(["embed", str(path), str(table), "-o", str(out), "--overwrite"]) == 1
    said = capsys.readouterr().err
    assert f"statistics path={str(statistics_path(table))!r} are not those of {str(table)!r}" in said
    assert said.count("\n") == 1
    assert read_embeddings(out).embedding.size
