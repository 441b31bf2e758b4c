"""What the commands embed, evaluate and demo do not write over, and how they say so."""

from pathlib import Path

import pytest

from viscy_train.cli.app import main

PRECIOUS = "somebody's thesis"


@pytest.fixture
def given(tmp_path: Path) -> Path:
    for folder in ("embeddings.zarr", "thesis"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "zarr.json").write_text(PRECIOUS)
    for name in ("a.parquet", "a.ckpt", "a.yaml"):
        (tmp_path / name).write_text(PRECIOUS)
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        "evaluate {0}/embeddings.zarr -o {0}/embeddings.zarr",
        "evaluate {0}/embeddings.zarr -o {0}",
        "evaluate {0}/embeddings.zarr -o {0}/a.parquet",
        "evaluate {0}/embeddings.zarr -o /dev/null",
        "evaluate {0}/embeddings.zarr -o -",
        "evaluate {0}/embeddings.zarr -o {0}/no/such/m.json",
        "view {0}/embeddings.zarr -o {0}/embeddings.zarr",
        "view {0}/embeddings.zarr -o {0}/a.parquet --anchors {0}/a.parquet",
        "embed {0}/a.ckpt {0}/a.parquet -o {0}/thesis --overwrite",
        "embed {0}/a.ckpt {0}/a.parquet -o {0} --overwrite",
        "embed {0}/a.ckpt {0}/a.parquet -o {0}/a.ckpt --overwrite",
        "embed {0}/a.ckpt {0}/a.parquet -o {0}/a.parquet --overwrite",
        "embed {0}/a.ckpt {0}/a.parquet -o / --overwrite",
        "embed {0}/a.ckpt {0}/a.parquet -o {0}/a.yaml/deep --overwrite",
        "demo --out {0}/thesis --smallest",
        "demo --out {0}/a.yaml --smallest",
        "demo --out {0}/a.yaml/deep --smallest",
        "demo --data {0}/a.yaml --out - --smallest",
    ],
)
def test_nothing_of_others_is_written_over(
    given: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in given.rglob("*") if path.is_file()}
    assert main(command.format(given).split()) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: out=")
    assert said.count("\n") == 1
    assert {path: path.read_bytes() for path in given.rglob("*") if path.is_file()} == before
