"""Commands end in a sentence: closed streams, full outputs, no home, no terminal, another user."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from small_project import WriteStore, index_project, write_project

from viscy_data.cli.plain_errors import run_plainly, sentence
from viscy_data.errors import InvalidInputError

MAIN = "import sys; from viscy_data.cli.app import main; sys.argv[0] = 'viscy-data'; main()"
needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="no POSIX streams and users")


@pytest.fixture(scope="module")
def anchors(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    from iohub.ngff import open_ome_zarr

    def write_store(path: Path, images: Any, channels: Any) -> Path:
        with open_ome_zarr(
            path, layout="hcs", mode="w-", channel_names=list(channels), version="0.5"
        ) as plate:
            for fov, pixels in images.items():
                plate.create_position(*fov.split("/")).create_image("0", pixels, chunks=(1, 1, 1, 16, 16))
        return path

    writer: WriteStore = write_store
    folder = tmp_path_factory.mktemp("given")
    return index_project(write_project(folder, writer), folder / "a.parquet")


def run(*arguments: object, **options: Any) -> "subprocess.CompletedProcess[str]":
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    command = [sys.executable, "-c", MAIN, *map(str, arguments)]
    return subprocess.run(command, text=True, check=False, **options)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            FileNotFoundError(2, "No such file or directory", "a\x1bb"),
            r"'a\\x1bb': No such file or directory; check",
        ),
        (OSError(28, "No space left on device"), "the output: No space left on device; make room"),
        (OSError("odd"), "odd"),
        (MemoryError("3 TB"), r"the memory does not suffice \(3 TB\)"),
        (KeyboardInterrupt(), "interrupted"),
        (InvalidInputError("a=\x1b: b"), r"a=\\x1b: b"),
        (UnicodeEncodeError("utf-8", "\udc80", 0, 1, "surrogates"), "as UTF-8"),
    ],
)
def test_what_is_said_of_what_the_system_refuses(error: BaseException, said: str) -> None:
    assert re.search(said, sentence(error))


def test_programming_errors_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong() -> None:
        raise KeyError("place")

    def full() -> None:
        raise OSError(28, "No space left on device")

    told: list[str] = []
    with pytest.raises(KeyError):
        run_plainly(wrong, failed=2, say=told.append)
    assert run_plainly(full, failed=2, say=told.append) == 2
    monkeypatch.setenv("VISCY_TRACEBACK", "1")
    with pytest.raises(OSError, match="No space"):
        run_plainly(full, failed=2, say=told.append)
    assert len(told) == 1


@needs_posix
@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_streams_do_not_end_a_command(anchors: Path, tmp_path: Path, closed: tuple[int, ...]) -> None:
    counts = tmp_path / "a.json"

    def close() -> None:
        for number in closed:
            os.close(number)

    done = run("audit", anchors, "--batch-size=8", "--json", counts, preexec_fn=close)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert counts.read_text().startswith('[{"made_by": "viscy-data"')


@needs_posix
def test_a_full_output_is_a_sentence(anchors: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    with Path("/dev/full").open("w") as full:
        done = run("audit", anchors, "--batch-size=8", "--json=-", stdout=full)
    assert done.returncode == 2
    said = "Error: the output: No space left on device; make room, or choose another place.\n"
    assert done.stderr.endswith(said)
    assert "Traceback" not in done.stderr


@needs_posix
def test_a_reader_that_goes_away_is_no_error(anchors: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = run("audit", anchors, "--batch-size=8", "--json=-", stdout=writing)
    os.close(writing)
    assert done.returncode == 141
    assert "Error" not in done.stderr
    assert "Traceback" not in done.stderr


INTERRUPTED = """
import signal, sys
from viscy_data.cli import app as cli
from viscy_data.audit import command
signal.signal(2, signal.default_int_handler)  # a shell's background jobs ignore interrupts
command.audit_plans = lambda *_, **__: signal.raise_signal(signal.SIGINT)
sys.argv[0] = "viscy-data"
cli.main()
"""


@needs_posix
def test_an_interrupt_is_a_sentence(anchors: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, "audit", anchors], capture_output=True, text=True, check=False
    )
    assert done.returncode == 130, done.stderr
    assert "Error: interrupted; what was there before still is." in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "1"},
        {"HOME": "/no/such", "TMPDIR": "/no/such", "PYTHONIOENCODING": "ascii"},
    ],
)
def test_without_home_terminal_and_letters_commands_work(
    anchors: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    paths = {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), "PATH": os.environ["PATH"]}
    out = tmp_path / "b.parquet"
    experiments = next(anchors.parent.glob("*.yaml"))
    for arguments in (
        ["index", experiments, "-o", out, "--tau-frames", 1, 2, "--patch-size", 8, 8],
        ["audit", out, "--batch-size=8", "--html", tmp_path / "a.html"],
    ):
        done = run(*arguments, env={**paths, **environment}, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
    assert out.is_file()


@needs_posix
def test_another_user_is_told_what_may_not_be_written(anchors: Path, tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root becomes another user")
    os.chmod(tmp_path, 0o755)  # noqa: PTH101 - of the fixture's folder
    for folder in tmp_path.parents:
        if folder.stat().st_uid == 0 and folder.stat().st_mode & 5 != 5:
            pytest.skip(f"{folder} cannot be entered by others")
    done = run("audit", anchors, "--json", tmp_path / "a.json", user=12345, group=12345)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@needs_posix
def test_a_termination_leaves_nothing_under_the_name(anchors: Path, tmp_path: Path) -> None:
    code = INTERRUPTED.replace("signal.SIGINT", "signal.SIGTERM")
    done = subprocess.run(
        [sys.executable, "-c", code, "audit", anchors, "--json", tmp_path / "a.json"],
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
