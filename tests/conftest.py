"""What the tests of the workspace share: uv, where there is one and an index answers."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

UNREACHABLE = (
    "error sending request",
    "Failed to fetch",
    "dns error",
    "Connection refused",
    "network was disabled",
)
# These would make uv keep the lock as it is, or work on the environment of the tests.
NOT_PASSED_ON = {"UV_FROZEN", "UV_LOCKED", "VIRTUAL_ENV"}


def _run(arguments: list[str], cwd: Path) -> None:
    uv = os.environ.get("UV") or shutil.which("uv")  # `uv run` says in UV where uv is
    if uv is None:
        pytest.skip("needs uv, which is not installed")
    environment = {key: value for key, value in os.environ.items() if key not in NOT_PASSED_ON}
    done = subprocess.run(
        [uv, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0 and any(sign in done.stderr for sign in UNREACHABLE):
        pytest.skip("needs a package index, and none was reached")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def run_uv() -> Callable[[list[str], Path], None]:
    """Run uv with arguments in a folder; skip, saying why, where that cannot work."""
    return _run
