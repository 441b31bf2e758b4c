"""Run one case in a process of its own, with a limit, and keep what it found."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from speed.jobs import YARDSTICK, Entry

HERE = Path(__file__).resolve().parents[1]
FIGURES = ("first_s", "floor_s", "batch_s", "resume_s", "ranks_8_s", "ranks_64_s")
"""What every case finds, in the order in which it is found."""
WALL = 6
"""A case may take this many times its limit by the clock: other work, and importing, do not count."""
POLL = 0.2

Record = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """What all cases share."""

    groups: int
    classes: int
    frames: int
    repeats: int
    limit: int
    folders: dict[str, str] = field(default_factory=dict)
    """Folders to put before the others on the path, by package: for pins that would hold back everyone's."""


def describe(entry: Entry, rows: int) -> Record:
    return {"job": entry.job, "sampler": entry.sampler, "ours": entry.is_ours, "rows": rows}


def run_case(entry: Entry, rows: int, setting: Setting) -> Record:
    """Return the figures of a case; ``note`` says why some are missing."""
    record = describe(entry, rows) | run(entry.key, rows, setting, setting.folders.get(entry.package))
    missing = [name for name in FIGURES if name not in record]
    if missing and "note" not in record:
        record["note"] = f"too slow: > {setting.limit} s"
        record["too_slow"] = missing[0]
    return record


def run_yardstick(rows: int, setting: Setting) -> float | None:
    """Return the seconds of NumPy's stable sort of ``rows`` keys, None where it takes too long."""
    return run(YARDSTICK, rows, setting, None).get("sort_s")


def run(key: str, rows: int, setting: Setting, folder: str | None) -> Record:
    numbers = (rows, setting.groups, setting.classes, setting.frames, setting.repeats)
    path = [folder, str(HERE), os.environ.get("PYTHONPATH")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(part for part in path if part)}
    command = [sys.executable, "-m", "speed.measure", key, *map(str, numbers)]
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen(command, env=environment, stdout=output, stderr=errors) as process:
            late, spent = watch(process, output, setting.limit)
        found = gather(text_of(output))
        if process.returncode > 0:
            raise RuntimeError(f"Case {key!r} at {rows} ended with {process.returncode}:\n{text_of(errors)}")
    killed = process.returncode == -signal.SIGKILL and not late
    return {"case_s": spent, **found, **({"note": "does not fit"} if killed else {})}


def watch(process: subprocess.Popen[bytes], output: TextIO, limit: int) -> tuple[bool, float]:
    """Wait for a case to end, and end it where it uses more than its limit of process time.

    Returns whether it had to be ended, and about how much process time it had, imports included. From
    outside, for a limit that the kernel keeps (RLIMIT_CPU) makes the process's own clock tick in
    milliseconds. The limit counts from where the case says that its table is ready.
    """
    start, spent = time.monotonic(), 0.0
    while process.poll() is None:
        spent = used(process.pid)
        begun = gather(text_of(output)).get("begun_s", float("inf"))
        allowed = WALL * (limit + min(begun, spent))  # waiting, not working, counts here
        if spent - begun > limit or time.monotonic() - start > allowed:
            process.kill()
            return True, spent
        time.sleep(POLL)
    return False, spent


def used(pid: int) -> float:
    """Seconds of process time that a process has had (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def text_of(file: TextIO) -> str:
    return Path(f"/proc/self/fd/{file.fileno()}").read_text()


def gather(output: str) -> Record:
    """Merge the figures that a case printed, one JSON object a line."""
    found: Record = {}
    for line in output.splitlines():
        if line.startswith("{") and line.endswith("}"):
            found |= json.loads(line)
    return found
