"""The command line: what it accepts, says and passes on; commands themselves are tested elsewhere."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from viscy_data.errors import InvalidInputError
from viscy_train.cli.app import main
from viscy_train.demo.settings import FULL_MINUTES

COMMANDS = ("demo", "fit", "embed", "pixels", "correct", "evaluate", "compare", "label", "view")


class Calls(list[tuple[tuple[Any, ...], dict[str, Any]]]):
    """A function that keeps what it was called with."""

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        self.append((args, kwargs))


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls()
    module = ModuleType("viscy_train.demo")
    module.run_demo = calls  # type: ignore[attr-defined]  # a stand-in for the module
    monkeypatch.setitem(sys.modules, "viscy_train.demo", module)
    return calls


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys, viscy_train.cli.app as cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'lightning', 'pandas', 'timm', 'anndata', 'tensorstore'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert all(command in ended.stdout for command in COMMANDS)


@pytest.mark.parametrize(
    "command", ["demo", "embed", "pixels", "correct", "evaluate", "compare", "label", "view"]
)
def test_each_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: viscy-train {command}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--config", "small", "-h"]])
def test_help_of_fit_is_one_screen(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *arguments]) == 0
    said = capsys.readouterr().out
    assert "viscy-train fit --config small" in said
    lines = said.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 110


def test_help_of_fit_names_options_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    main(["fit", "--help"])
    short = capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["fit", "--help-all"])
    listed = capsys.readouterr().out
    named = set(re.findall(r"--(?:data|model|trainer)\.[a-z_.]+[a-z]", short))
    assert len(named) >= 10
    missing = {one for one in named if f"{one} " not in listed and f"{one}=" not in listed}
    assert missing == set()


def test_demo_defaults(demo: Calls) -> None:
    assert main(["demo"]) == 0
    expected: dict[str, Any] = {"data": None, "movies": [], "out": Path("demo"), "minutes": FULL_MINUTES}
    expected |= {"seed": 0, "smallest": False, "missing_chunks": "error", "non_finite": "error"}
    assert demo == [((), expected)]


def test_movies_take_many_values_after_one_flag(demo: Calls) -> None:
    main(
        ["demo", "--movies", "a", "b", "c", "--movies", "d", "--out", "there", "--minutes", "0.5", "--quick"]
    )
    given = demo[0][1]
    assert given["movies"] == [Path("a"), Path("b"), Path("c"), Path("d")]
    assert (given["out"], given["minutes"], given["smallest"]) == (Path("there"), 0.5, True)
    main(["demo"])
    assert demo[1][1]["movies"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demo", "--data", "a.yaml", "--movies", "b"], "not allowed with"),
        (["demo", "--minutes", "0"], "0 is not a positive number"),
        (["embed", "last.ckpt", "anchors.parquet"], "required: -o/--out"),
        (["paint"], "invalid choice: 'paint'"),
        ([], "required: COMMAND"),
    ],
)
def test_wrong_arguments_end_with_usage(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_an_error_of_ours_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise InvalidInputError("out='x' exists; choose another name")

    monkeypatch.setattr("viscy_train.models.embedding.embed_table", refuse)
    assert main(["embed", "last.ckpt", "anchors.parquet", "-o", "x"]) == 1
    assert capsys.readouterr().err == "error: out='x' exists; choose another name\n"
    assert main(["evaluate", "there/is/no/such.zarr"]) == 1


def test_fit_gets_the_arguments_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls()
    monkeypatch.setattr("viscy_train.fit.run_fit", calls)
    arguments = ["--config", "small", "--trainer.max_steps=3"]
    assert main(["fit", *arguments, "--help-all"]) == 0
    assert calls == [(([*arguments, "--help"],), {})]
