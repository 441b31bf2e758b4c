import gc
import os
import pickle
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from viscy_data.dataset import sharing
from viscy_data.dataset.sharing import Shared
from viscy_data.errors import InvalidInputError, OutputError


def test_a_value_travels_by_file_and_comes_back_equal() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": rng.integers(0, 9, 10_000), "b": pd.Categorical(rng.choice(["x", "y"], 10_000))}
    )
    value = {"frame": frame, "empty": np.empty(0), "column": np.asfortranarray(rng.normal(size=(50, 3)))}
    sent = pickle.dumps(Shared(value))
    assert len(sent) < 2000
    shared = Shared(value)
    got = pickle.loads(pickle.dumps(shared)).value
    pd.testing.assert_frame_equal(got["frame"], frame)
    np.testing.assert_array_equal(got["column"], value["column"])
    assert got["empty"].size == 0


def test_arrays_that_come_back_are_read_only() -> None:
    shared = Shared(np.arange(100))
    got = pickle.loads(pickle.dumps(shared)).value
    with pytest.raises(ValueError, match="read-only"):
        got[0] = 1


def files_of(shared: "Shared[Any]") -> Path:
    """Return the file by which the value travels."""
    assert shared._file is not None
    return Path(shared._file.path)


def names_in_proc_or(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "by name":
        monkeypatch.setattr(sharing, "_is_seen_in_proc", lambda: False)


@pytest.mark.parametrize("how", ["in proc", "by name"])
def test_the_file_is_written_once_and_removed_with_the_value(
    how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names_in_proc_or(how, monkeypatch)
    shared = Shared(np.arange(100))
    first, second = (pickle.loads(pickle.dumps(shared)) for _ in range(2))
    path = files_of(first)
    assert files_of(second) == path
    assert path.exists()
    assert len(list(tmp_path.iterdir())) == (how == "by name"), "on Linux it has no name in a folder"
    del shared
    gc.collect()
    assert not path.exists()
    assert not list(tmp_path.iterdir())
    assert int(first.value.sum()) == 4950


KEPT = """
import pickle, sys
import numpy as np
from viscy_data.dataset.sharing import Shared

shared = Shared(np.arange(10))
sys.stdout.buffer.write(pickle.dumps(shared))
sys.stdout.buffer.flush()
sys.stdin.read()
"""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="elsewhere a file stays after a kill")
def test_nothing_outlives_a_process_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KEPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    ) as process:
        assert process.stdout is not None
        sent = os.read(process.stdout.fileno(), 4096)
        assert int(pickle.loads(sent).value.sum()) == 45, "while it runs, others reach the value"
        process.kill()
    assert not list(tmp_path.iterdir())
    with pytest.raises(InvalidInputError, match="keep the path of its anchors table and its options"):
        pickle.loads(sent)


def test_a_file_that_took_the_others_place_is_refused() -> None:
    """A process of the same number may run later, with another file open."""
    shared = Shared(np.arange(10))
    state = shared.__getstate__()
    path, token, spans = state["_file"]
    other = Shared(np.arange(10))
    with pytest.raises(InvalidInputError, match="another file has taken its place"):
        other.__setstate__({"_file": (path, token[::-1], spans)})


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_temporary_folder_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("wb") as full:
        monkeypatch.setattr(sharing, "_open", lambda: (full, "/proc/none"))
        with pytest.raises(OutputError, match=r"TMPDIR=.* could not be written .* No space left"):
            pickle.dumps(Shared(np.arange(10)))
        with suppress(OSError):
            full.close()


def test_no_temporary_folder_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(OutputError, match=r"TMPDIR=.* could not be written"):
        pickle.dumps(Shared(np.arange(10)))
