import json
import re
import subprocess
import sys
from dataclasses import fields
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner, Result

from viscy_data.cli.app import app
from viscy_data.cli.synthesize import synthesize
from viscy_data.synthetic.recipe import Recipe
from viscy_data.tables.anchors.read import read_anchors, read_metadata
from viscy_data.tables.experiments import Experiments

SIZES = ("--experiments=2", "--wells=2", "--fovs=1", "--frames=6", "--cells=6", "--size=128")


def run(*arguments: object, code: int = 0) -> Result:
    environment = {"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"}
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    result = run("synthesize", "-o", folder, *SIZES)
    assert str(folder / "experiments.yaml") in result.output
    return folder


@pytest.fixture(scope="module")
def anchors(synthetic: Path) -> Path:
    path = synthetic / "anchors.parquet"
    result = run("index", synthetic / "experiments.yaml", "-o", path)
    words = (
        "synthetic_1",
        "infected",
        "uninfected",
        "with a later relative",
        "at a border",
        "dropped",
        str(path),
    )
    for word in words:
        assert word in result.output
    return path


def write_movie(path: Path, channels: int = 1) -> Path:
    (path / "frames").mkdir(parents=True)
    for t in range(3):
        tifffile.imwrite(path / "frames" / f"t{t}.tif", np.full((channels, 70, 80), t + 1, np.uint8))
    (path / "tracks.csv").write_text("track_id,t,y,x\n" + "".join(f"1,{t},30,40\n" for t in range(3)))
    return path


def test_synthesize_writes_what_was_asked(synthetic: Path) -> None:
    assert len(Experiments.load(synthetic / "experiments.yaml").experiments) == 2


def test_defaults_are_those_of_the_recipe() -> None:
    # They are written twice so that --help need not import NumPy.
    parameters = signature(synthesize).parameters
    for field in fields(Recipe):
        assert parameters[field.name].default == field.default


def test_index_counts_what_it_writes(synthetic: Path, anchors: Path) -> None:
    result = run("index", synthetic / "experiments.yaml", "-o", anchors, "--overwrite", "--tau-frames", 1, 2)
    assert f"{len(read_anchors(anchors)):,}" in result.output


@pytest.mark.parametrize(
    "options",
    [
        ("--batch-size=16",),
        ("--batch-size=16", "--no-experiment-aware", "--no-condition-balanced"),
        ("--batch-size=16", "--temporal-enrichment", "--window-hours=1", "--leaky=0.2", "--epochs=3"),
    ],
)
def test_audit_holds_what_was_asked(anchors: Path, options: tuple[str, ...]) -> None:
    text = run("audit", anchors, *options).output
    assert "asked" in text
    assert ("synthetic_2" in text) == ("--no-experiment-aware" not in options)
    (audited,) = json.loads(run("audit", anchors, *options, "--json", "-").stdout)
    report = audited["report"]
    assert audited["deviations"] == []
    assert report["batch_size"] == 16
    assert (report["epochs"] == 3) if "--epochs=3" in options else (report["batches"] == 2000)
    assert sum(report["batches_held"]) == report["batches"]
    if "--no-condition-balanced" not in options:
        assert np.allclose(report["stratum_held"], 8, atol=1)


def test_audit_compares_two_plans_and_writes_them(anchors: Path, tmp_path: Path) -> None:
    base, other = tmp_path / "base.yaml", tmp_path / "leaky.yaml"
    base.write_text("batch_size: 16\nfocus: null\n")
    other.write_text("grouping: {leak: 0.25}\n")
    page, counts = tmp_path / "audit.html", tmp_path / "audit.json"
    options = ("--plan", base, "--compare", other, "--html", page, "--json", counts)
    text = run("audit", anchors, "--temporal-enrichment", *options).output
    assert "base: asked" in text
    assert "leaky: asked" in text
    plans = [audited["plan"] for audited in json.loads(counts.read_text(encoding="utf-8"))]
    assert [plan["grouping"]["leak"] for plan in plans] == [0.0, 0.25]
    assert [(plan["batch_size"], plan["focus"]) for plan in plans] == [(16, None)] * 2
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_audit_is_strict_where_asked(anchors: Path) -> None:
    batches = ("audit", anchors, "--batch-size=16")
    assert "not checked" not in run(*batches, "--strict").stderr
    short = ("--temporal-enrichment", "--window-hours=0")
    for fraction, said in (
        (0.1, "plan: focus: asked"),
        (0, "plan: repeats: asked no anchor twice in a step"),
    ):
        lax = run(*batches, *short, f"--global-fraction={fraction}")
        assert said in lax.stderr
        assert "plan: not checked: coverage: the focal window decides who comes" in lax.stderr
        assert said in run(*batches, *short, f"--global-fraction={fraction}", "--strict", code=1).stderr


def test_audit_composes_as_many_batches_as_asked(anchors: Path) -> None:
    options = ("audit", anchors, "--batch-size=16")
    text = run(*options, "--batches=5").output
    assert "5 batches (" in text
    assert "plan: not checked: group: fewer batches than an epoch of" in text
    assert "one of the two is allowed" in run(*options, "--batches=5", "--epochs=1", code=2).stderr


def test_audit_and_bench_take_a_curriculum(synthetic: Path, anchors: Path, tmp_path: Path) -> None:
    plan, other = tmp_path / "later.yaml", tmp_path / "small.yaml"
    plan.write_text("batch_size: 16\nstages: {0: {}, 4: {grouping: {leak: 0.25}}}\n")
    other.write_text("batch_size: 8\n")
    written = run("audit", anchors, "--plan", plan, "--compare", other, "--batches=10", "--json=-").stdout
    first, second = json.loads(written)
    assert first["deviations"] == second["deviations"] == []
    assert (first["report"]["leak_held"], second["report"]["leak_held"]) == (4 * 0.6, 2 * 0.6)
    assert list(second["plan"]["plans"]) == ["0", "4"]
    few = tmp_path / "few.yaml"
    few.write_text(
        "batch_size: 16\nbalance: null\nlocality: {frames: 6}\nstages: {0: {}, 4: {locality: {frames: 4}}}\n"
    )
    text = run("audit", anchors, "--plan", few, "--batches=10").output
    assert "frames or fields of a step, at most" in text
    assert "Positives, with tau drawn" in text
    page = tmp_path / "bench.html"
    options = ("--plan", plan, "--seconds=0", "--workers=0", "--frames=8", "--no-optimize", "--html", page)
    assert (
        "batches of 16 pairs"
        in run("bench", synthetic / "experiments.yaml", "--index", anchors, *options).output
    )
    assert "leak: 0.25" in page.read_text(encoding="utf-8")


def test_optimize_says_cost_and_gain_then_writes(synthetic: Path, anchors: Path, tmp_path: Path) -> None:
    store, out = synthetic / "synthetic_1" / "plate.zarr", tmp_path / "fast.zarr"
    result = run("optimize", store, "-o", out, "--index", anchors, "--seconds=0.1")
    for word in ("cost: about 0.00 GB", "gain: ", "patches of 1 x 64 x 64", f"Wrote {out}"):
        assert word in result.output
    assert run("optimize", store, "-o", out, "--patch=1,64,64", code=2).stderr.startswith("Error: out=")
    other = tmp_path / "other.zarr"
    for options, message in (
        ((), "give one of --patch"),
        (("--patch=1,64,64", "--index", anchors), "give one of --patch"),
        (("--patch=64,64",), "three numbers, such as 5,160,160"),
        (("--index", synthetic / "experiments.yaml"), "not a Parquet file"),
    ):
        assert message in run("optimize", store, "-o", other, *options, code=2).stderr
    assert list(tmp_path.iterdir()) == [out]


def test_bench_says_what_helps_and_writes_it(synthetic: Path, anchors: Path, tmp_path: Path) -> None:
    file, page, figures = synthetic / "experiments.yaml", tmp_path / "bench.html", tmp_path / "bench.json"
    plan = tmp_path / "plan.yaml"
    plan.write_text("batch_size: 12\n")
    options = ("--plan", plan, "--seconds=0", "--workers=0", "--frames=8", "--no-optimize")
    text = run("bench", file, "--index", anchors, *options, "--html", page, "--json", figures).output
    for word in ("8 frames a batch", "look ahead by 2", "batches of 12 pairs", "patches/s"):
        assert word in text
    assert json.loads(figures.read_text(encoding="utf-8"))["subject"]["batch_size"] == 12
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert json.loads(run("bench", file, *options, "--json", "-").stdout)["optimize"] is None
    absent = run("bench", file, "--index", tmp_path / "no.parquet", code=2).stderr
    assert "Build it with 'viscy-data index" in absent


def test_convert_says_what_is_not_stated(tmp_path: Path) -> None:
    result = run("convert", write_movie(tmp_path / "one"), "-o", tmp_path / "out")
    line = next(line for line in result.output.splitlines() if "one" in line)
    for word in ("interval_minutes", "pixel_size_um", "condition_wells", "start_hpi"):
        assert word in line
    assert (tmp_path / "out" / "experiments.yaml").is_file()


def test_channels_are_chosen_by_position(tmp_path: Path) -> None:
    movies = [write_movie(tmp_path / "one"), write_movie(tmp_path / "two", channels=2)]
    refused = run("convert", *movies, "-o", tmp_path / "out", code=2)
    assert "one: 1, two: 2" in refused.stderr
    run("convert", *movies, "-o", tmp_path / "out", "--channels", "0")
    named = run("convert", *movies, "-o", tmp_path / "other", "--channels", "first", code=2)
    assert "channels='first' must be positions" in named.stderr


def test_our_errors_are_one_message_without_a_traceback(synthetic: Path, anchors: Path) -> None:
    for result in (
        run("synthesize", "-o", synthetic, *SIZES, code=2),
        run("synthesize", "-o", synthetic / "other", "--wells=1", code=2),
        run("convert", synthetic / "absent", "-o", synthetic / "other", code=2),
        run("index", synthetic / "absent.yaml", "-o", synthetic / "other.parquet", code=2),
        run("index", synthetic / "experiments.yaml", "-o", anchors, code=2),
        run("audit", synthetic / "experiments.yaml", code=2),
        run("audit", anchors, "--batch-size=0", code=2),
    ):
        assert result.stderr.lstrip().startswith("Error: ")
        assert "Traceback" not in result.output


def test_markup_in_a_message_is_printed_as_it_is(tmp_path: Path) -> None:
    result = run("convert", tmp_path / "[red]x", "-o", tmp_path / "out", code=2)
    assert "[red]x" in result.stderr


@pytest.mark.parametrize("command", ["convert", "synthesize", "index", "check", "audit", "bench", "optimize"])
def test_help_teaches_by_example(command: str) -> None:
    text = run(command, "--help").output
    assert re.search(rf"viscy-data {command} \S", text)
    assert command in run("--help").output


def test_index_keeps_what_was_asked_of_borders(synthetic: Path, tmp_path: Path) -> None:
    path = tmp_path / "anchors.parquet"
    asked = ("index", synthetic / "experiments.yaml", "-o", path, "--no-statistics", "--border")
    assert "patch reaches over the border" in run(*asked, "drop").output
    assert read_metadata(path).border == "drop"
    assert not read_anchors(path)["outside"].any()
    assert "'mirror' is not one of" in run(*asked, "mirror", code=2).stderr


def test_help_imports_nothing_heavy() -> None:
    heavy = ("torch", "tensorstore", "iohub", "zarr", "pandas", "numpy")
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from viscy_data.cli.app import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_index_says_who_builds_and_reads_images_only_when_asked(synthetic: Path, tmp_path: Path) -> None:
    path = tmp_path / "anchors.parquet"
    run("index", synthetic / "experiments.yaml", "-o", path, "--processes", 1, "--no-statistics")
    assert [one.name for one in tmp_path.iterdir()] == ["anchors.parquet"]
    options = ("--overwrite", "--processes", 2, "--dask", "tcp://127.0.0.1:9")
    result = run("index", synthetic / "experiments.yaml", "-o", path, *options, code=2)
    assert "processes=2, dask='tcp://127.0.0.1:9': give one of them" in result.output
    run("index", synthetic / "experiments.yaml", "-o", path, "--processes", 0, code=2)
