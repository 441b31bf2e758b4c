"""What the documentation says is true: its Python runs, its commands exist, its links lead somewhere."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import viscy_data
import viscy_train

WALKS = ("columns.md", "models.md")
"""Guides that go all the way from nothing, command by command."""

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *ROOT.glob("packages/*/*.md"),
        *ROOT.glob("docs/**/*.md"),
    ]
)
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"(?:^|run |`)viscy-(data|train) ([a-z]+)([^\n#`|&]*)", re.MULTILINE)
_OPTION = re.compile(r"(?<![\w-])--?[a-z][\w.-]*")


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _blocks(page: Path, language: str) -> list[str]:
    return [code for kind, code in _BLOCK.findall(page.read_text(encoding="utf-8")) if kind == language]


def _pages_with_python() -> list[Path]:
    """Return the pages whose snippets need no more than the data of `play`."""
    return [page for page in PAGES if _blocks(page, "python") and page.name not in WALKS]


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the data that the snippets speak of: ``experiments.yaml`` and ``anchors.parquet``."""
    from viscy_data.indexing.run import build_index
    from viscy_data.synthetic.writing import synthesize
    from viscy_data.tables.tau import TauRange

    folder = tmp_path_factory.mktemp("data") / "play"
    experiments = synthesize(folder, experiments=2, fovs=1, frames=6, cells=8, size=96, progress=False)
    tau = TauRange(frames=(1, 2))
    build_index(experiments, folder / "anchors.parquet", patch_size=(32, 32), tau=tau, progress=False)
    return folder


@pytest.mark.parametrize("page", _pages_with_python(), ids=_name)
@pytest.mark.filterwarnings("default")
def test_python_of_page_runs(page: Path, play: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(play)
    namespace: dict[str, object] = {"__name__": "page"}
    for number, code in enumerate(_blocks(page, "python")):
        exec(compile(code, f"{_name(page)}, block {number}", "exec"), namespace)


def _commands(block: str) -> Iterator[list[str]]:
    """Yield the commands of a block, each a list of words."""
    for line in block.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words:
            assert words[:2] == ["uv", "run"], f"from a fresh clone, commands begin with 'uv run': {line}"
            yield words[2:]


def _run(program: str, *arguments: str) -> None:
    """Run a command: where it can be, in this process, which has imported PyTorch already."""
    if program == "viscy-data":
        from viscy_data.cli.app import app

        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
    elif arguments[0] == "fit":  # which takes signals for itself
        path = Path(sys.executable).with_name(program)
        ended = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
    else:
        from viscy_train.cli.app import main

        assert main(list(arguments)) == 0


@pytest.mark.parametrize("page", [page for page in PAGES if page.name in WALKS], ids=_name)
@pytest.mark.filterwarnings("default")
def test_every_step_of_a_guide_runs_in_an_empty_folder(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "page"}
    for number, (language, code) in enumerate(_BLOCK.findall(page.read_text(encoding="utf-8"))):
        if language == "python":
            exec(compile(code, f"{_name(page)}, block {number}", "exec"), namespace)
        elif language == "bash":
            for words in _commands(code):
                _run(*words)


def _help(package: str, command: str) -> str:
    """Return a command's help, asked for where possible in this process: starting another takes seconds."""
    environment = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    if package == "data":
        from viscy_data.cli.app import app

        shown = CliRunner(env=environment).invoke(app, [command, "--help"])
        assert shown.exit_code == 0, f"viscy-data has no command {command!r}: {shown.output}"
        return shown.output
    program = Path(sys.executable).with_name("viscy-train")
    asked = "--help-all" if command == "fit" else "--help"
    done = subprocess.run(
        [program, command, asked], env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"viscy-train has no command {command!r}: {done.stderr}"
    return done.stdout


@cache
def _options(package: str, command: str) -> set[str]:
    """Return the options in the command's help, and those that a configuration of fit can hold."""
    said = _help(package, command)
    known = set(_OPTION.findall(said))
    if command == "fit":
        known |= {"--fresh", "--help-all"}  # read before the others are
        for config in (ROOT / "packages" / "viscy-train" / "src").glob("viscy_train/configs/*.yaml"):
            known |= set(_keys(yaml.safe_load(config.read_text(encoding="utf-8")), "--"))
    return known


def _keys(config: dict[str, Any], prefix: str) -> Iterator[str]:
    for key, value in config.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{key}.")


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_commands_of_page_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8").replace("\\\n", "")
    for package, command, rest in _COMMAND.findall(text):
        unknown = set(_OPTION.findall(rest)) - _options(package, command)
        assert unknown == set(), f"viscy-{package} {command}{rest}"


def test_readme_has_the_two_commands_and_ci_runs_the_second() -> None:
    shown = "".join(_blocks(ROOT / "README.md", "bash"))
    assert shown == "pip install uv && uv run viscy-train demo\nuv run pytest\n"
    assert re.search(r"^\s+uv run pytest\b", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    targets = [link.split("#")[0] for link in _LINK.findall(page.read_text(encoding="utf-8"))]
    inside = [target for target in targets if target and "://" not in target]
    assert [target for target in inside if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("package", ["viscy-data", "viscy-train"])
def test_package_readme_stands_alone(package: str) -> None:
    text = (ROOT / "packages" / package / "README.md").read_text(encoding="utf-8")
    assert [link for link in _LINK.findall(text) if "://" not in link] == []


@pytest.mark.parametrize("module", [viscy_data, viscy_train], ids=lambda module: module.__name__)
def test_reference_shows_every_public_name(module: ModuleType) -> None:
    page = (ROOT / "docs" / "reference" / f"{module.__name__}.md").read_text(encoding="utf-8")
    shown = re.findall(rf"^::: {module.__name__}\.(?:\w+\.)*(\w+)$", page, re.MULTILINE)
    assert set(module.__all__) - set(shown) == set()


def test_pictures_are_drawn_by_the_script_and_small(tmp_path: Path) -> None:
    script = ROOT / "docs" / "figures.py"
    subprocess.run([sys.executable, script, "--out", tmp_path], capture_output=True, check=True)
    shown = set(re.findall(r"images/(\w+)\.png", (ROOT / "docs" / "axes.md").read_text(encoding="utf-8")))
    measured = {"locality"}  # by benchmarks/locality.py: speeds differ from run to run
    assert {picture.stem for picture in tmp_path.glob("*.png")} == shown - measured
    sizes = {picture.name: picture.stat().st_size for picture in (ROOT / "docs" / "images").iterdir()}
    assert {name: size for name, size in sizes.items() if size > 100_000} == {}
