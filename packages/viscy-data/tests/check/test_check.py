"""`viscy-data check`: what is lost, to what, and the tau that would work; on files and on tables."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner, Result

from viscy_data.check.finding import CheckReport
from viscy_data.check.fitting import next_gaps
from viscy_data.check.run import check_anchors, check_experiments
from viscy_data.cli.app import app
from viscy_data.indexing.run import build_index
from viscy_data.tables.anchors.read import read_anchors, read_metadata
from viscy_data.tables.anchors.write import write_anchors
from viscy_data.tables.places import PlaceTally, places_of
from viscy_data.tables.positives import Positives
from viscy_data.tables.tau import TauRange

type WriteStore = Callable[..., Path]

SHAPE = (8, 1, 1, 48, 48)
WELLS = {"infected": ["B/1", "B/2"], "mock": ["A/1", "A/2"]}
FOVS = ("A/1/0", "A/2/0", "B/1/0", "B/2/0")


def write_movie(folder: Path, name: str, write_store: WriteStore, **changes: Any) -> dict[str, Any]:
    """Write a plate, in each fov four cells that are seen every ``step`` frames; return its entry."""
    step, fovs = changes.pop("step", 1), changes.pop("fovs", FOVS)
    steps: Mapping[str, int] = changes.pop("steps", {})
    shape = changes.pop("shape", SHAPE)
    z = changes.pop("z", None)
    pixels = np.random.default_rng(0).integers(1, 500, shape).astype(np.uint16)
    write_store(folder / f"{name}.zarr", dict.fromkeys(fovs, pixels), ("Phase",))
    for fov in fovs:
        times = range(0, shape[0], steps.get(fov, step))
        rows = [(track, t, 12 + 6 * track, 20) for track in range(4) for t in times]
        table = pd.DataFrame(rows, columns=["track_id", "t", "y", "x"])
        table = table if z is None else table.assign(z=z)
        (folder / name / fov).mkdir(parents=True)
        table.to_csv(folder / name / fov / "tracks.csv", index=False)
    entry = {
        "name": name,
        "data_path": f"{name}.zarr",
        "tracks_path": name,
        "channels": ["Phase"],
        "condition_wells": WELLS,
        "interval_minutes": 30,
        "start_hpi": 1,
        "pixel_size_um": 0.5,
    }
    return entry | changes


def write_file(folder: Path, *entries: dict[str, Any]) -> Path:
    path = folder / "experiments.yaml"
    path.write_text(yaml.safe_dump({"experiments": list(entries)}, allow_unicode=True), encoding="utf-8")
    return path


def indexed(path: Path, **options: Any) -> Path:
    out = path.with_name("anchors.parquet")
    given: dict[str, Any] = {"patch_size": (8, 8), "tau": TauRange(frames=(1, 1)), "progress": False}
    build_index(path, out, **(given | {"statistics": False} | options))
    return out


def checked(path: Path, tau: TauRange | None = None) -> CheckReport:
    return check_experiments(path, tau=tau, patch_size=(8, 8))


def texts(report: CheckReport, severity: Any, topic: str) -> list[str]:
    return [one.text for one in report.of(severity) if one.topic == topic]


def run(*arguments: object, code: int) -> Result:
    environment = {"COLUMNS": "250", "TERM": "dumb", "NO_COLOR": "1"}
    result = CliRunner().invoke(app, [str(one) for one in arguments], env=environment)
    assert result.exit_code == code, result.output
    return result


def test_a_sound_file_and_its_table_are_fine(tmp_path: Path, write_store: WriteStore) -> None:
    path = write_file(tmp_path, *(write_movie(tmp_path, name, write_store) for name in "ab"))
    table = indexed(path)
    for report in (checked(path), check_anchors(table), check_anchors(table, thorough=False)):
        assert report.problems == report.remarks == ()
        assert report.line() == "check: no problem, nothing to remark"
        (held,) = texts(report, "fine", "held")
        assert "256 rows" in held
        assert "in 2 experiments" in held
        assert [(one.experiment, one.condition, one.rows) for one in report.losses] == [
            (name, condition, 64) for name in "ab" for condition in ("infected", "mock")
        ]
        assert all(dict(one.reasons).keys() == {"no positive within tau"} for one in report.losses)
    assert {one.tracks for one in check_anchors(table).losses} == {8}


@pytest.mark.parametrize(
    ("hours", "step", "works"),
    [((0.5, 0.6), 1, "--tau-hours 0.5 0.75"), ((0.5, 0.8), 2, "--tau-hours 0.5 1.5")],
    ids=["no frame in the range", "gaps in the tracks"],
)
def test_a_movie_that_tau_loses_is_a_problem_with_the_tau_that_works(
    tmp_path: Path, write_store: WriteStore, hours: tuple[float, float], step: int, works: str
) -> None:
    fine = write_movie(tmp_path, "fine", write_store)
    lost = write_movie(tmp_path, "lost", write_store, interval_minutes=45, step=step)
    path = write_file(tmp_path, fine, lost)
    report = checked(path, TauRange(hours=hours))
    (text,) = texts(report, "problem", "tau")
    assert "'lost' is lost" in text
    assert works in text
    low, high = (float(word) for word in works.split()[1:])
    assert checked(path, TauRange(hours=(low, high))).problems == ()


def test_a_table_that_lost_a_movie_says_so_and_how_to_keep_it(
    tmp_path: Path, write_store: WriteStore
) -> None:
    fine = write_movie(tmp_path, "fine", write_store)
    lost = write_movie(tmp_path, "lost", write_store, step=3)
    out = indexed(write_file(tmp_path, fine, lost))
    report = check_anchors(out)
    (text,) = texts(report, "problem", "tau")
    assert "'lost' is lost: none of its 48 rows" in text
    assert (
        "the next detection of a cell is 3 frames, 1.5 h away; 1 to 3 frames would give 32 of 48 one" in text
    )
    assert "--tau-frames 1 3" in text
    (light,) = check_anchors(out, thorough=False).problems
    assert "viscy-data check" in light.text
    for thorough in (True, False):
        assert check_anchors(out, thorough=thorough, later=False).problems == ()
    losses = {(one.experiment, one.condition): one for one in report.losses}
    gone = losses["lost", "mock"]
    assert (gone.tracks, gone.lost_tracks, gone.rows, gone.lost_rows) == (8, 8, 24, 24)
    assert (
        check_anchors(
            indexed(tmp_path / "experiments.yaml", tau=TauRange(frames=(1, 3)), overwrite=True)
        ).problems
        == ()
    )


def test_one_field_of_view_and_one_condition_that_are_lost_are_named(
    tmp_path: Path, write_store: WriteStore
) -> None:
    entries = [
        write_movie(tmp_path, "a", write_store, steps={"B/2/0": 2}),
        write_movie(tmp_path, "b", write_store, steps={"B/1/0": 2, "B/2/0": 2}),
    ]
    path = write_file(tmp_path, *entries)
    for report in (checked(path, TauRange(frames=(1, 1))), check_anchors(indexed(path))):
        fovs = texts(report, "problem", "tau")
        assert "'a' has lost 1 of 4 fields of view: no cell of B/2/0" in fovs[0]
        assert "'b' has lost 2 of 4 fields of view: no cell of B/1/0, B/2/0" in fovs[1]
        (condition,) = texts(report, "problem", "condition")
        assert "Condition 'infected' of experiment 'b' has nothing left" in condition
        assert "--tau-frames 1 2" in condition


def test_conditions_that_are_the_experiment_or_the_well(tmp_path: Path, write_store: WriteStore) -> None:
    one = {"condition_wells": {"mock": list(dict.fromkeys(fov[:3] for fov in FOVS))}}
    two = {"condition_wells": {"infected": list(dict.fromkeys(fov[:3] for fov in FOVS))}}
    entries = [write_movie(tmp_path, "a", write_store, **one), write_movie(tmp_path, "b", write_store, **two)]
    (text,) = texts(checked(write_file(tmp_path, *entries)), "problem", "confounded")
    assert "the same as the experiment throughout" in text
    assert "infected: b, mock: a" in text

    wells = {"condition_wells": {"mock": ["A/1"], "infected": ["B/1"]}, "fovs": ("A/1/0", "B/1/0")}
    folder = tmp_path / "wells"
    folder.mkdir()
    entries = [write_movie(folder, name, write_store, **dict(wells)) for name in "ab"]
    report = checked(write_file(folder, *entries))
    assert report.problems == ()
    (text,) = texts(report, "remark", "confounded")
    assert "the same as the well throughout" in text


def test_a_condition_of_one_experiment_is_remarked(tmp_path: Path, write_store: WriteStore) -> None:
    third = WELLS | {"infected": ["B/1"], "treated": ["B/2"]}
    entries = [
        write_movie(tmp_path, "a", write_store),
        write_movie(tmp_path, "b", write_store, condition_wells=third),
    ]
    said = texts(checked(write_file(tmp_path, *entries)), "remark", "confounded")
    assert any("treated in b" in one for one in said)
    assert any("infected of b, treated of b" in one for one in said)


def test_what_is_not_known_names_the_key_to_set(tmp_path: Path, write_store: WriteStore) -> None:
    nothing = dict.fromkeys(("condition_wells", "interval_minutes", "start_hpi", "pixel_size_um"))
    path = write_file(tmp_path, write_movie(tmp_path, "bare", write_store, **nothing))
    report = checked(path, TauRange(frames=(1, 1)))
    assert report.problems == ()
    said = " ".join(one.text for one in report.remarks)
    for key in nothing:
        assert key in said
    assert "bare" in said
    (text,) = texts(checked(path), "problem", "tau")
    assert "interval_minutes, which is not known" in text


def test_flat_z_sizes_and_twins(tmp_path: Path, write_store: WriteStore) -> None:
    stack = (8, 1, 5, 48, 48)
    entries = [
        write_movie(tmp_path, "placeholder", write_store, shape=stack, z=1),
        write_movie(tmp_path, "wide", write_store, shape=(8, 1, 5, 48, 64)),
    ]
    path = write_file(tmp_path, *entries)
    table = pd.read_csv(tmp_path / "wide" / "A/1/0" / "tracks.csv")
    twins = pd.concat([table, table[table["track_id"] == 1].assign(track_id=9)])
    twins.to_csv(tmp_path / "wide" / "A/1/0" / "tracks.csv", index=False)
    for report in (checked(path, TauRange(frames=(1, 1))), check_anchors(indexed(path))):
        (text,) = texts(report, "problem", "z")
        assert "z is 1 in every row of experiment 'placeholder', whose images have 5 slices" in text
        (text,) = texts(report, "remark", "z")
        assert "'wide'" in text
        assert "the middle" in text
        (text,) = texts(report, "remark", "sizes")
        assert "columns, 48 to 64, between experiments" in text
        (text,) = texts(report, "problem", "places")
        assert "16 rows have the very patch of another cell" in text


@pytest.mark.parametrize("z", [0, 4, "focus"])
def test_a_slice_that_the_file_chose_is_no_placeholder(
    tmp_path: Path, write_store: WriteStore, z: object
) -> None:
    entry = write_movie(tmp_path, "chosen", write_store, shape=(8, 1, 5, 48, 48)) | {"z": z}
    report = checked(write_file(tmp_path, entry), TauRange(frames=(1, 1)))
    assert not texts(report, "problem", "z")
    assert not texts(report, "remark", "z")


def test_every_problem_of_a_broken_file_is_told_beside_what_could_be_checked(
    tmp_path: Path, write_store: WriteStore
) -> None:
    good = write_movie(tmp_path, "good", write_store)
    absent = write_movie(tmp_path, "absent", write_store, data_path="nowhere.zarr")
    wrong = write_movie(tmp_path, "wrong", write_store)
    (tmp_path / "wrong" / "A/1/0" / "tracks.csv").write_text("track_id,t,y,x\n1,0,nan,3\n")
    report = checked(write_file(tmp_path, good, absent, wrong))
    said = texts(report, "problem", "file")
    assert any("nowhere.zarr" in one for one in said)
    assert any("'wrong'" in one for one in said)
    assert [one.experiment for one in report.losses] == ["good", "good", "wrong"][: len(report.losses)]


def test_the_command_leaves_with_1_where_there_are_problems(tmp_path: Path, write_store: WriteStore) -> None:
    wells = {"[/red]mock": ["A/1", "A/2"], "infected": ["B/1", "B/2"]}
    fine = write_movie(tmp_path, "fine", write_store, condition_wells=wells)
    lost = write_movie(tmp_path, "lost", write_store, step=3)
    path = write_file(tmp_path, fine, lost)
    run("check", path, "--tau-frames", 1, 3, "--patch-size", 8, 8, code=0)
    result = run("check", path, "--tau-hours", 0.5, 1.0, "--patch-size", 8, 8, code=1)
    assert "[/red]mock" in result.output
    assert "--tau-hours 0.5 1.5" in result.output
    table = indexed(path)
    content = json.loads(run("check", table, "--json", "-", code=1).stdout)
    assert content["problems"] == 1
    assert {one["severity"] for one in content["findings"]} >= {"problem", "fine"}
    run("check", table, "--json", tmp_path / "check.json", code=1)
    assert json.loads((tmp_path / "check.json").read_text()) == content
    refused = run("check", table, "--tau-frames", 1, 3, code=2)
    assert "--tau-frames: a table has its own" in refused.stderr
    assert "Error: " in run("check", tmp_path / "absent.yaml", code=2).stderr


def test_index_and_audit_say_it_in_one_line_and_strict_fails(tmp_path: Path, write_store: WriteStore) -> None:
    fine = write_movie(tmp_path, "fine", write_store)
    lost = write_movie(tmp_path, "lost", write_store, step=3)
    path, out, page = write_file(tmp_path, fine, lost), tmp_path / "anchors.parquet", tmp_path / "audit.html"
    size = ("--patch-size", 8, 8, "--no-statistics")
    said = "Experiment 'lost' is lost: none of its 48 rows"
    counts = f"check: 1 problem, 0 remarks; viscy-data check {out} says all. {said}"
    assert counts in run("index", path, "-o", out, "--tau-frames", 1, 1, *size, code=0).stderr
    assert said in run("audit", out, "--batch-size", 8, "--html", page, code=0).stderr
    assert "The table has problems." in page.read_text()
    result = run("audit", out, "--batch-size", 8, "--strict", "--json", "-", code=1)
    (audited,) = json.loads(result.stdout)
    assert audited["deviations"] == []
    assert audited["check"]["problems"] == 1
    run("index", path, "-o", out, "--tau-frames", 1, 3, "--overwrite", *size, code=0)
    assert "check: no problem" in run("audit", out, "--batch-size", 8, "--strict", code=0).stderr


def test_blank_frames_are_said_as_index_counted_them(tmp_path: Path, write_store: WriteStore) -> None:
    entry = write_movie(tmp_path, "a", write_store)
    pixels = np.random.default_rng(0).integers(1, 500, SHAPE).astype(np.uint16)
    pixels[2:4] = 0
    write_store(tmp_path / "blank.zarr", dict.fromkeys(FOVS, pixels), ("Phase",))
    path = write_file(tmp_path, entry | {"data_path": "blank.zarr"})
    for blank, severity, word in (("drop", "remark", "left out"), ("keep", "problem", "--blank-frames drop")):
        out = indexed(
            path,
            statistics=True,
            overwrite=True,
            blank_frames=blank,
            missing_chunks="fill",
            tau=TauRange(frames=(1, 4)),
        )
        (text,) = texts(check_anchors(out, thorough=False), severity, "images")
        assert "8 frames of 32 blank" in text
        assert word in text
    unread = check_anchors(indexed(path, overwrite=True))
    assert "Images were not read" in " ".join(texts(unread, "fine", "images"))


def random_table(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    columns = {
        "experiment": rng.choice(["a", "b"], rows),
        "condition": rng.choice(["x", "y"], rows),
        "well": rng.choice(["A/1", "B/1"], rows),
        "fov": rng.choice(["0", "1"], rows),
    }
    named = {name: pd.Categorical(values) for name, values in columns.items()}
    numbers = {name: rng.integers(0, most, rows) for name, most in (("track_id", 9), ("t", 4), ("z", 5))}
    return pd.DataFrame({**named, **numbers, "y_crop": rng.integers(0, 2, rows), "x_crop": 0})


@pytest.mark.parametrize("blocks", [1, 3, 7])
def test_places_are_those_of_a_slow_count(blocks: int) -> None:
    rng = np.random.default_rng(blocks)
    table = random_table(rng, 300)
    table.loc[table["fov"] == "1", "condition"] = np.nan
    valid = rng.random(len(table)) < 0.1
    tally = PlaceTally()
    for rows in np.array_split(np.arange(len(table)), blocks):
        tally.add(table.iloc[rows], valid[rows])
    keys = ["experiment", "condition", "well", "fov"]
    table = table.assign(valid=valid, condition=table["condition"].astype(object).fillna("unknown"))
    slow = table.groupby(keys, observed=True)
    assert len(tally.places()) == len(slow)
    for place in tally.places():
        own = slow.get_group((place.experiment, place.condition or "unknown", place.well, place.fov))
        assert (place.rows, place.valid_rows) == (len(own), own["valid"].sum())
        assert place.tracks == own["track_id"].nunique()
        assert place.valid_tracks == own[own["valid"]]["track_id"].nunique()
        assert place.z == (own["z"].min(), own["z"].max())
        if blocks == 1:
            assert place.shared == own.duplicated(["t", "y_crop", "x_crop"], keep=False).sum()


def test_tracks_as_codes_count_like_tracks_as_numbers() -> None:
    table = random_table(np.random.default_rng(0), 200)
    names = table[["experiment", "well", "fov", "track_id"]].astype(str).agg("/".join, axis=1)
    table = table.assign(condition=pd.Categorical(["x"] * len(table)))
    valid = np.random.default_rng(1).random(len(table)) < 0.2
    coded = places_of(table.assign(global_track_id=pd.Categorical(names)), valid)
    assert coded == places_of(table, valid)


def test_gaps_are_the_least_tau_with_a_positive() -> None:
    rng = np.random.default_rng(0)
    rows = [(track, t) for track in range(30) for t in np.flatnonzero(rng.random(12) < 0.4)]
    table = pd.DataFrame(rows, columns=["track_id", "t"]).assign(experiment="a", fov="0", parent_track_id=-1)
    gaps = next_gaps(table)
    for tau in range(1, 12):
        assert (Positives(table, {"a": (1, tau)}).has_positive == ((gaps > 0) & (gaps <= tau))).all()


def test_a_table_that_index_did_not_write_is_checked_too(tmp_path: Path, write_store: WriteStore) -> None:
    path = write_file(
        tmp_path, write_movie(tmp_path, "a", write_store), write_movie(tmp_path, "b", write_store)
    )
    out = indexed(path)
    metadata, table = read_metadata(out), read_anchors(out)
    write_anchors(tmp_path / "own.parquet", table[(table["experiment"] == "a") | (table["t"] == 0)], metadata)
    (problem,) = check_anchors(tmp_path / "own.parquet").problems
    assert "'b' is lost" in problem.text
    assert "none has a later detection of its cell" in problem.text


def test_units_that_are_not_understood_are_remarked(tmp_path: Path, write_store: WriteStore) -> None:
    entry = write_movie(tmp_path, "a", write_store, pixel_size_um=None, data_path="half.zarr")
    pixels = np.ones(SHAPE, dtype=np.uint16)
    write_store(tmp_path / "half.zarr", dict.fromkeys(FOVS, pixels), ("Phase",), pixel_size_um=(0.5, 0.5))
    path = write_file(tmp_path, entry)
    for metadata in (tmp_path / "half.zarr").glob("*/*/*/zarr.json"):
        content = json.loads(metadata.read_text())
        for axis in content["attributes"]["ome"]["multiscales"][0]["axes"]:
            if axis["type"] == "space":
                axis["unit"] = "furlong"
        metadata.write_text(json.dumps(content))
    said = " ".join(one.text for one in checked(path).remarks)
    assert "furlong" in said
    assert "pixel_size_um" in said


@pytest.mark.parametrize(("size", "outside"), [(48, 128), (26, 32), (8, 0)])
def test_the_share_of_patches_at_borders_is_said(
    tmp_path: Path, write_store: WriteStore, size: int, outside: int
) -> None:
    """Cells at y = 12, 18, 24 and 30 and x = 20 of 48 by 48: half of 26 reaches beyond the border at 12."""
    path = write_file(tmp_path, write_movie(tmp_path, "a", write_store))
    table = indexed(path, patch_size=(size, size))
    for report in (check_experiments(path, patch_size=(size, size)), check_anchors(table)):
        (found,) = [one for one in report.findings if one.topic == "border"]
        assert found.numbers == {"outside": outside, "rows": 128, "experiments": {"a": outside}}
        assert f"{outside} of 128 patches ({outside / 128:.0%}) lie partly outside" in found.text
        assert found.severity == ("remark" if outside else "fine")
        assert ("border='drop'" in found.text) == bool(outside)
