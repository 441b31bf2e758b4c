"""The package imports, says what is public, and states a true lower bound on its sibling."""

import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version

import viscy_data
import viscy_train

# The public surface is a contract with users: adding a name here is a decision, losing one breaks somebody.
PUBLIC: list[str] = []

PACKAGES = Path(__file__).resolve().parents[2]


def _project(name: str) -> dict[str, Any]:
    text = (PACKAGES / name / "pyproject.toml").read_text(encoding="utf-8")
    project: dict[str, Any] = tomllib.loads(text)["project"]
    return project


def test_public_names_are_pinned_and_sorted() -> None:
    assert viscy_train.__all__ == sorted(set(viscy_train.__all__))
    assert viscy_train.__all__ == PUBLIC
    assert len(viscy_train.__all__) == 0


def test_public_names_resolve() -> None:
    undocumented = [name for name in viscy_train.__all__ if not getattr(viscy_train, name).__doc__]
    assert undocumented == []


def test_versions_are_those_of_the_metadata() -> None:
    assert viscy_data.__version__ == _project("viscy-data")["version"]
    assert viscy_train.__version__ == _project("viscy-train")["version"]


def test_lower_bound_on_the_sibling_is_true() -> None:
    # A bound older than the sibling's minor version promises names that were not there yet.
    (sibling,) = [
        r for r in map(Requirement, _project("viscy-train")["dependencies"]) if r.name == "viscy-data"
    ]
    current = Version(_project("viscy-data")["version"])
    (bound,) = [Version(s.version) for s in sibling.specifier if s.operator == ">="]
    assert sibling.specifier.contains(current)
    assert (bound.major, bound.minor) == (current.major, current.minor)


def test_both_support_the_same_pythons() -> None:
    assert _project("viscy-train")["requires-python"] == _project("viscy-data")["requires-python"]
