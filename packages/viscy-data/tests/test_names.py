"""Names are text: shown and never obeyed, in every command and every file for people."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
import yaml
from html_outline import Outline
from small_project import WriteStore
from typer.testing import CliRunner, Result

from viscy_data.audit.command import audit_plans
from viscy_data.audit.page import tell
from viscy_data.audit.tables import audit_tables
from viscy_data.cli.app import app
from viscy_data.cli.plain_errors import plain_errors
from viscy_data.composition import Balance, BatchPlan, Grouping
from viscy_data.errors import ExperimentsFileError, InvalidInputError
from viscy_data.pages.markup import escaped
from viscy_data.pages.page import render
from viscy_data.pages.table import rich_table
from viscy_data.tables.anchors.read import read_anchors
from viscy_data.tables.experiments import Experiments
from viscy_data.text import shown, shown_lines

MARKUP = [
    "[/red]",
    "$\\frac$",
    "<script>alert(1)</script>",
    "😀 👩\u200d🔬",
    '"quo\'ted"',
    ":smile:",
    "a" * 900,
]
HOSTILE = [*MARKUP, "\x1b[31mred", "\x00", "bell\x07", "\u202eevil", "two\nlines", "a" * 10**6]


def run(*arguments: object, code: int = 0) -> Result:
    environment = {"COLUMNS": "400", "TERM": "dumb", "NO_COLOR": "1"}
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)
    assert result.exit_code == code, result.output
    return result


def is_harmless(text: str) -> bool:
    return all(one.isprintable() or one == "\n" for one in text)


def entry(number: int, name: str) -> dict[str, object]:
    return {
        "name": name.replace("/", "|"),
        "data_path": f"{number}.zarr",
        "tracks_path": f"{number}.csv",
        "channels": [name],
        "condition_wells": {name: ["A/1"]},
        "interval_minutes": 30,
        "start_hpi": 1,
    }


def project(folder: Path, names: list[str], write_store: WriteStore) -> Path:
    """Write an experiment for each name, whose condition and channel bear it too."""
    entries = []
    for number, name in enumerate(names):
        images = {"A/1/0": np.random.default_rng(number).integers(1, 99, (4, 1, 1, 32, 32)).astype(np.uint16)}
        write_store(folder / f"{number}.zarr", images, [name])
        rows = [(track, t, 10 + track, 16) for track in range(8) for t in range(4)]
        pd.DataFrame(rows, columns=["track_id", "t", "y", "x"]).to_csv(folder / f"{number}.csv", index=False)
        entries.append(entry(number, name))
    path = folder / "experiments.yaml"
    path.write_text(yaml.safe_dump({"experiments": entries}), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_shown_name_is_one_short_line_without_controls(name: str) -> None:
    assert is_harmless(shown(name))
    assert "\n" not in shown(name)
    assert len(shown(name)) <= 80 * len(r"\U0001f600")
    assert "<script>" not in escaped(name)


def test_names_that_look_like_markup_go_through_index_and_audit_as_they_are(
    tmp_path: Path, write_store: WriteStore
) -> None:
    experiments = project(tmp_path, MARKUP, write_store)
    anchors, page, counts = tmp_path / "a.parquet", tmp_path / "a.html", tmp_path / "a.json"
    options = ("--patch-size", 8, 8, "--tau-frames", 1, 2)
    printed = run("index", experiments, "-o", anchors, *options).output
    for name in MARKUP[:-1]:
        assert shown(name) in printed
        assert shown(name.replace("/", "|")) in printed
    assert is_harmless(printed)
    assert set(read_anchors(anchors)["condition"]) == set(MARKUP)  # what programs read is not changed

    audited = run("audit", anchors, "--batch-size", 4, "--html", page, "--json", counts).output
    for name in MARKUP[:-1]:
        assert shown(name.replace("/", "|")) in re.sub(r"\s+", " ", audited)
    assert MARKUP[0] in json.loads(counts.read_text())[0]["report"]["strata"]
    text = page.read_text(encoding="utf-8")
    assert is_harmless(text)
    assert Outline(text).is_self_contained
    assert escaped(MARKUP[1]) in text


def test_controls_in_a_table_of_another_program_are_shown_and_not_obeyed() -> None:
    table = pd.DataFrame(
        {
            "experiment": np.repeat([f"{place} {name}" for place, name in enumerate(HOSTILE)], 24),
            "condition": np.tile(["\x1b[2Jx", "\u202ey"], 12 * len(HOSTILE)),
        }
    )
    plan = BatchPlan(8, grouping=Grouping("experiment"), balance=Balance("condition"))
    audits = audit_plans(table, [("\x1b]0;plan\x07", plan)], progress=False)
    assert is_harmless(render(tell(audits)))
    for one in audit_tables(audits):
        for column in rich_table(one).columns:
            assert all(is_harmless(str(cell)) for cell in (column.header, *column.cells))


@pytest.mark.parametrize("name", ["\x1b[31m", "\x00", "a\tb", "line\n", "\u202ex", "\x9b31m", "b" * 1001])
@pytest.mark.parametrize("key", ["name", "condition_wells", "channels"])
def test_a_name_that_cannot_be_is_refused_by_key(tmp_path: Path, name: str, key: str) -> None:
    given = {"condition_wells": {name: ["A/1"]}, "channels": [name]}.get(key, name)
    said = refusal(tmp_path, {**entry(0, "a"), key: given})
    assert key in said
    assert len(said) < 1000
    assert is_harmless(said)


@pytest.mark.parametrize("key", ["data_path", "tracks_path"])
@pytest.mark.parametrize("given", ["a\0b", "n" * 5000, "no/such"])
def test_a_path_that_cannot_be_is_refused_by_key(tmp_path: Path, key: str, given: str) -> None:
    said = refusal(tmp_path, {**entry(0, "a"), key: given})
    assert key in said
    assert len(said) < 1000


def refusal(folder: Path, experiment: dict[str, object]) -> str:
    for name in ("0.zarr", "0.csv"):
        (folder / name).mkdir()
    path = folder / "experiments.yaml"
    path.write_text(yaml.safe_dump({"experiments": [experiment]}), encoding="utf-8")
    with pytest.raises(ExperimentsFileError) as caught:
        Experiments.load(path)
    return str(caught.value)


def test_an_error_prints_names_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    @plain_errors
    def fails() -> None:
        raise InvalidInputError("condition=[/red] \x1b[31m [bold]\nsecond line")

    with pytest.raises(typer.Exit):
        fails()
    said = capsys.readouterr().err
    assert said == "Error: condition=[/red] \\x1b[31m [bold]\nsecond line\n"
    assert shown_lines("a\rb") == "a\\rb"
