"""Two real processes of a gloo group, in a training loop that somebody wrote.

The group's timeout is an hour: a test that waited for it would not end.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SUPPORT = Path(__file__).parents[1] / "support"


def run(folder: Path, *told: dict[str, Any]) -> list[tuple[int, str, str]]:
    """Return exit status, output and errors of both ranks."""
    paths = os.pathsep.join(filter(None, [str(SUPPORT), os.environ.get("PYTHONPATH", "")]))
    ranks = [
        subprocess.Popen(
            [
                sys.executable,
                str(SUPPORT / "plain_rank.py"),
                str(folder / "store"),
                str(rank),
                json.dumps(one),
            ],
            env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, one in enumerate(told)
    ]
    try:
        ended = [rank.communicate(timeout=300) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    return [(rank.returncode, *texts) for rank, texts in zip(ranks, ended, strict=True)]


@pytest.mark.parametrize(
    ("other", "said"), [({"seed": 7}, "seed=0 here, 7 there|seed=7 here, 0 there"), ({"cells": 41}, "table=")]
)
def test_ranks_that_draw_from_different_things_are_told_at_the_first_step(
    other: dict[str, Any], said: str, tmp_path: Path
) -> None:
    ended = run(tmp_path, {}, other)
    assert all(status for status, _, _ in ended), "neither goes on"
    assert not any("done" in output for _, output, _ in ended)
    errors = "".join(text for _, _, text in ended)
    assert "draw batches from different things" in errors
    assert any(part in errors for part in said.split("|"))


def test_a_sampler_of_one_rank_alone_keeps_nobody_waiting(tmp_path: Path) -> None:
    ended = run(tmp_path, {"alone": True}, {"alone": True})
    assert [status for status, _, _ in ended] == [0, 0], ended
    assert ended[0][1].splitlines() == ["alone 22", "done"]
    assert ended[1][1].splitlines() == ["done"]


def test_a_rank_that_is_killed_ends_the_others(tmp_path: Path) -> None:
    ended = run(tmp_path, {}, {"killed": True})
    assert ended[1][0] == -signal.SIGKILL
    assert ended[0][0] != 0
    assert "done" not in ended[0][1]
    assert "Error" in ended[0][2]
