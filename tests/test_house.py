"""Every folder of the packages opens with what it is for, its key types and the order to read it in."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = (ROOT / "packages/viscy-data/src/viscy_data", ROOT / "packages/viscy-train/src/viscy_train")
FOLDERS = sorted(
    file.parent for source in SOURCES for file in source.rglob("__init__.py") if file.parent not in SOURCES
)
# Its modules are being written anew.
WITHOUT_ORDER = {SOURCES[0] / "composition"}
# Folders whose names users import; the others load nothing, so that a module loads no other by its folder.
WITH_NAMES = {"composition", "callbacks", "demo", "encoder", "evaluation", "fit", "losses", "packed"}


def _name(folder: Path) -> str:
    return folder.relative_to(ROOT / "packages").as_posix()


@pytest.mark.parametrize("folder", [one for one in FOLDERS if one not in WITHOUT_ORDER], ids=_name)
def test_a_folder_says_what_is_in_it(folder: Path) -> None:
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert "Read in this order:" in text
    listed = re.findall(r"`(\w+)`", text.split("Read in this order:")[1])
    modules = {file.stem for file in folder.glob("*.py")} - {"__init__"}
    assert modules - set(listed) == set(), "name each module, in the order to read them"


@pytest.mark.parametrize("folder", [one for one in FOLDERS if one.name not in WITH_NAMES], ids=_name)
def test_a_folder_loads_nothing(folder: Path) -> None:
    parsed = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
    assert [type(one).__name__ for one in parsed.body] == ["Expr"]


@pytest.mark.parametrize("package", ["viscy-data", "viscy-train"])
def test_tests_lie_in_the_folders_of_what_they_test(package: str) -> None:
    tests = ROOT / "packages" / package / "tests"
    source = tests.parent / "src" / package.replace("-", "_")
    folders = {file.parent.relative_to(tests) for file in tests.rglob("test_*.py")}
    unknown = {one for one in folders if not (source / one).is_dir()} - {Path("contract")}
    assert unknown == set()
