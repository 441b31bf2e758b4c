"""The package imports, says what is public, and states a true lower bound on its sibling."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version

import viscy_data
import viscy_train

# The public surface is a contract with users: adding a name here is a decision, losing one breaks somebody.
PUBLIC = [
    "AnchorDataModule",
    "BatchOptions",
    "CompositionLog",
    "ContrastiveEncoder",
    "ContrastiveModule",
    "DataWait",
    "EncoderOptions",
    "Evaluation",
    "FitProgress",
    "LossOptions",
    "Metric",
    "Model",
    "NTXentHCL",
    "NotAvailable",
    "OptimizerOptions",
    "PatchOptions",
    "SplitOptions",
    "TrainedOn",
    "WarmupCosine",
    "embed_table",
    "evaluate",
    "evaluate_arrays",
    "export",
    "pack",
    "read_embeddings",
    "read_model",
    "run_demo",
    "view_embeddings",
]

exported: list[str] = vars(viscy_train)["__all__"]
"""Made from the stub when the package is imported; a type checker sees the stub alone."""

PACKAGES = Path(__file__).resolve().parents[2]


def _project(name: str) -> dict[str, Any]:
    text = (PACKAGES / name / "pyproject.toml").read_text(encoding="utf-8")
    project: dict[str, Any] = tomllib.loads(text)["project"]
    return project


def test_public_names_are_pinned_and_sorted() -> None:
    assert exported == sorted(set(exported))
    assert exported == PUBLIC
    assert len(exported) == 28


def test_public_names_resolve() -> None:
    undocumented = [name for name in exported if not getattr(viscy_train, name).__doc__]
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


def test_import_stays_light() -> None:
    heavy = {"torch", "lightning", "timm", "anndata", "sklearn"}
    code = f"import sys, viscy_train; print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_only_public_names_of_the_sibling_are_used() -> None:
    """What `viscy_train` takes from `viscy_data` is in its ``__all__``, its columns or its pages."""
    sources = sorted(Path(viscy_train.__file__).parent.rglob("*.py"))
    private = [
        f"{source.name}: {node.module}.{alias.name}"
        for source in sources
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "viscy_data"
        for alias in node.names
        if not re.fullmatch(r"viscy_data\.(columns|pages\.\w+)", node.module or "")
        if node.module != "viscy_data" or alias.name not in {*vars(viscy_data)["__all__"], "columns"}
    ]
    assert len(sources) > 10
    assert private == []
