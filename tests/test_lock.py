"""The committed lock holds decisions and no address, and completing it changes no decision.

"Committed" is what git would commit: the blob in its index, not the file in the working tree,
which uv completes on first use.
"""

import importlib.util
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


neutral_lock = _load(ROOT / "scripts" / "neutral_lock.py")


def _committed() -> str:
    shown = subprocess.run(["git", "show", ":uv.lock"], cwd=ROOT, capture_output=True, check=False)
    if shown.returncode != 0:
        pytest.skip(f"needs a git checkout to read the committed lock: {shown.stderr.decode().strip()}")
    return shown.stdout.decode("utf-8")


def _versions(lock: str) -> set[tuple[str, str]]:
    return {(package["name"], package["version"]) for package in tomllib.loads(lock)["package"]}


def _copy_of_the_workspace(target: Path, lock: str) -> None:
    for source in [
        ROOT / "pyproject.toml",
        ROOT / ".python-version",
        *ROOT.glob("packages/*/pyproject.toml"),
    ]:
        place = target / source.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, place)
    (target / "uv.lock").write_text(lock, encoding="utf-8")


def test_committed_lock_holds_no_address() -> None:
    lock = _committed()
    assert "://" not in lock
    assert "sha256" not in lock
    assert {package["source"].get("registry", "") for package in tomllib.loads(lock)["package"]} == {
        "",
        neutral_lock.REGISTRY,
    }


def test_committed_lock_is_what_the_filter_makes_of_it() -> None:
    lock = _committed()
    assert neutral_lock.neutral(lock) == lock


def test_completing_the_committed_lock_changes_no_decision(
    tmp_path: Path, run_uv: Callable[[list[str], Path], None]
) -> None:
    lock = _committed()
    _copy_of_the_workspace(tmp_path, lock)
    run_uv(["lock"], tmp_path)
    completed = (tmp_path / "uv.lock").read_text(encoding="utf-8")
    assert "wheels = [" in completed, "uv left the lock as it was"
    assert _versions(completed) == _versions(lock), (
        "completing moved versions: run `uv lock` and commit uv.lock"
    )
    assert neutral_lock.neutral(completed) == lock, "the lock is stale: run `uv lock` and commit uv.lock"


COMPLETE = """\
version = 1

[[package]]
name = "a"
version = "1.0"
source = { registry = "https://index.example/simple" }
dependencies = [
    { name = "b", marker = "sys_platform == 'linux'" },
]
sdist = { url = "https://files.example/a-1.0.tar.gz", hash = "sha256:00", size = 1 }
wheels = [
    { url = "https://files.example/a-1.0.whl", hash = "sha256:00", size = 1 },
]

[[package]]
name = "b"
version = "2.0"
source = { registry = "../wheels" }
wheels = [{ url = "https://files.example/b-2.0.whl" }]

[package.optional-dependencies]
more = [
    { name = "a" },
]

[[package]]
name = "member"
version = "0.1.0"
source = { editable = "packages/member" }

[package.metadata]
requires-dist = [{ name = "a" }]

[package.metadata.requires-dev]
dev = [
    { name = "b" },
]
"""


def test_filter_keeps_decisions_and_drops_the_rest() -> None:
    packages: list[dict[str, Any]] = tomllib.loads(neutral_lock.neutral(COMPLETE))["package"]
    registry = {"registry": neutral_lock.REGISTRY}
    assert packages == [
        {
            "name": "a",
            "version": "1.0",
            "source": registry,
            "dependencies": [{"name": "b", "marker": "sys_platform == 'linux'"}],
        },
        {
            "name": "b",
            "version": "2.0",
            "source": registry,
            "optional-dependencies": {"more": [{"name": "a"}]},
        },
        {"name": "member", "version": "0.1.0", "source": {"editable": "packages/member"}},
    ]


@pytest.mark.parametrize("text", [COMPLETE, COMPLETE.replace("\n", "\r\n"), COMPLETE + "\n\n", ""])
def test_filter_is_idempotent(text: str) -> None:
    once = neutral_lock.neutral(text)
    assert neutral_lock.neutral(once) == once
    assert "\r" not in once
