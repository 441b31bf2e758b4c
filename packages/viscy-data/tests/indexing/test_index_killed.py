"""An index that was killed goes on where it stopped, and ends with the table of one that was not."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from index_cases import FOVS, NAMES, build, write_experiments, write_tracks

from viscy_data.errors import TracksError
from viscy_data.indexing import parts as index_parts
from viscy_data.tables.anchors import build as anchors

SUPPORT = Path(__file__).parents[1] / "support"
OUT = "anchors.parquet"
PARTS = f".{OUT}.parts"


@pytest.fixture
def folder(tmp_path: Path, write_store: Any) -> Path:
    write_experiments(tmp_path, write_store)
    return tmp_path


def count_built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note the experiments that are built from here on, in this process."""
    built: list[str] = []
    work = anchors.build_experiment

    def noting(experiment: Any, *args: Any, **options: Any) -> Any:
        built.append(experiment.name)
        return work(experiment, *args, **options)

    monkeypatch.setattr(index_parts, "build_experiment", noting)
    return built


def bytes_of(folder: Path) -> tuple[bytes, bytes]:
    found = (folder / OUT).read_bytes(), (folder / "anchors.statistics.parquet").read_bytes()
    (folder / OUT).unlink()
    (folder / "anchors.statistics.parquet").unlink()
    return found


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
@pytest.mark.parametrize(
    ("moment", "count", "processes", "again"),
    [
        ("a part is half written", 2, 1, ["a", "b"]),
        ("statistics are written", 2, 2, []),
        ("the table is half written", 3, 1, []),
    ],
)
def test_what_is_finished_is_not_done_again(
    folder: Path, moment: str, count: int, processes: int, again: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    build(folder)
    expected = bytes_of(folder)
    command = [
        sys.executable,
        str(SUPPORT / "index_cases.py"),
        str(folder),
        moment,
        str(count),
        str(processes),
    ]
    paths = [str(SUPPORT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    # The output ends when the last process that could write to it does: none may outlive the killed one.
    killed = subprocess.run(command, env=environment, timeout=240, stdout=subprocess.PIPE, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (folder / OUT).exists()
    assert len(list((folder / PARTS).glob("*.arrow"))) == len(NAMES) - len(again)
    built = count_built(monkeypatch)
    build(folder)
    assert built == again
    assert bytes_of(folder) == expected
    assert sorted(one.name for one in folder.iterdir() if one.name.startswith(".")) == []


def test_an_error_keeps_what_is_finished(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracks = folder / "b" / FOVS[0] / "tracks.csv"
    tracks.write_text("track_id,t,y,x\n1,99,1,1\n")
    built = count_built(monkeypatch)
    with pytest.raises(TracksError, match="t=99"):
        build(folder)
    write_tracks(tracks)
    build(folder)
    assert built == ["c", "a", "b", "b"]


@pytest.mark.parametrize("changed", ["tracks", "options"])
def test_a_part_of_something_else_is_not_taken(
    folder: Path, changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = folder / "b" / FOVS[0] / "tracks.csv"
    whole = broken.read_bytes()
    broken.write_text("track_id,t,y,x\n1,99,1,1\n")
    with pytest.raises(TracksError):
        build(folder)
    broken.write_bytes(whole)
    options: dict[str, Any] = {"patch_size": (9, 8)} if changed == "options" else {}
    if changed == "tracks":
        write_tracks(folder / "c" / FOVS[1] / "tracks.csv", 7)
    built = count_built(monkeypatch)
    build(folder, **options)
    assert built == (["c", "b"] if changed == "tracks" else ["c", "a", "b"])
    resumed = bytes_of(folder)
    build(folder, **options)
    assert bytes_of(folder) == resumed


def test_a_part_that_is_no_file_of_ours_is_built_again(folder: Path) -> None:
    (folder / "b" / FOVS[0] / "tracks.csv").write_text("track_id,t,y,x\n1,99,1,1\n")
    with pytest.raises(TracksError):
        build(folder)
    for part in (folder / PARTS).glob("*.arrow"):
        part.write_bytes(part.read_bytes()[:-200])
    write_tracks(folder / "b" / FOVS[0] / "tracks.csv")
    build(folder)
    assert (folder / OUT).exists()
