"""Files and folders whole or not at all, one writer at a time, and what killed ones leave."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from file_tree import tree

from viscy_data.errors import InvalidInputError, OutputError
from viscy_data.files.locks import only_writer
from viscy_data.files.outputs import claimed, write_text
from viscy_data.files.whole import whole_folder

PRECIOUS = "somebody's thesis"

needs_posix = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes and signals as POSIX has them")


def dead_process() -> int:
    """Return the number of a process that has ended."""
    code = "import os; print(os.getpid())"
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with whole_folder(out) as beside:
        (beside / "first").write_text("1")
    with pytest.raises(KeyError), whole_folder(out) as beside:  # noqa: PT012 - what fails is inside
        (beside / "second").write_text("2")
        raise KeyError
    assert tree(tmp_path) == {"out/first": b"1"}
    with whole_folder(out) as beside:
        (beside / "third").write_text("3")
    assert tree(tmp_path) == {"out/third": b"3"}


@pytest.mark.parametrize("ending", ["partial", "old", "sample"])
def test_what_a_killed_run_left_is_removed_and_nothing_of_others(tmp_path: Path, ending: str) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    pid = int(dead.stdout)
    out = tmp_path / "a.json"
    write_text(out, '{"made_by": "viscy-data"}')
    (tmp_path / f".a.json.{pid}.{ending}").write_text("half")
    kept = [
        "a.json.part",
        ".a.json.partial",
        f".b.json.{pid}.partial",
        f".a.json.{os.getpid()}.partial",
        ".a.json.x.old",
    ]
    for name in kept:
        (tmp_path / name).write_text(PRECIOUS)
    with claimed(out):
        assert sorted(tree(tmp_path)) == sorted([*kept, "a.json", ".a.json.lock"])
    assert sorted(tree(tmp_path)) == sorted([*kept, "a.json"])


def test_a_folder_that_a_kill_moved_aside_comes_back(tmp_path: Path) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    aside = tmp_path / f".out.{int(dead.stdout)}.old"
    aside.mkdir()
    (aside / "kept").write_text("1")
    with claimed(tmp_path / "out", kind="folder"):
        pass
    assert tree(tmp_path) == {"out/kept": b"1"}


HOLDS = """
import sys, time
from pathlib import Path
from viscy_data.files.locks import only_writer
with only_writer(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


@needs_posix
def test_one_writer_at_a_time_and_a_killed_one_is_none(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(InvalidInputError, match=f"is being written by process {holder.pid} on"):
            write_text(out, "mine")
        assert not out.exists()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert (tmp_path / ".out.json.lock").exists()
    write_text(out, "mine")
    assert tree(tmp_path) == {"out.json": b"mine"}
    with only_writer(out), pytest.raises(InvalidInputError, match="is being written"), only_writer(out):
        pytest.fail("the block must not run")


def test_a_file_that_stands_where_the_lock_is_due_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".out.lock").write_text(PRECIOUS)
    with pytest.raises(OutputError, match="is in the way"):
        write_text(tmp_path / "out", "mine")
    assert tree(tmp_path) == {".out.lock": PRECIOUS.encode()}


@pytest.mark.parametrize("length", [250, 255])
def test_names_as_long_as_the_system_takes_are_written(tmp_path: Path, length: int) -> None:
    write_text(tmp_path / ("n" * length), "new")
    assert list(tree(tmp_path).values()) == [b"new"]
