"""Files of VisCy through import and index to a batch, and what cannot be carried."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from viscy_data.cli.app import app
from viscy_data.dataset.anchor_dataset import AnchorDataset
from viscy_data.errors import ExperimentsFileError, InvalidInputError
from viscy_data.importing.run import import_viscy
from viscy_data.indexing.run import build_index
from viscy_data.tables.anchors.read import read_anchors, read_metadata
from viscy_data.tables.tau import TauRange

type WriteStore = Callable[..., Path]

FOVS = ("A/1/0", "A/1/1", "B/2/0")
CHANNELS = ("Phase3D", "GFP")
SHAPE = (3, 2, 4, 32, 32)
TRACKS = [(1, -1, 0, 10), (1, -1, 1, 11), (2, 1, 2, 8), (3, 1, 2, 14), (4, -1, 0, 20), (4, -1, 1, 21)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_store: WriteStore) -> Path:
    """A plate with statistics in its attributes, and tracks of its three fields of view."""
    folder = tmp_path_factory.mktemp("data")
    pixels = np.random.default_rng(0).integers(1, 500, SHAPE).astype(np.uint16)
    write_store(folder / "plate.zarr", dict.fromkeys(FOVS, pixels), CHANNELS, version="0.4")
    stats = {"fov_statistics": {"mean": 250.0, "std": 144.0}}
    for fov in FOVS:
        file = folder / "plate.zarr" / fov / ".zattrs"
        content = json.loads(file.read_text())
        content["normalization"] = dict.fromkeys(CHANNELS, stats)
        content["focus_slice"] = {"Phase3D": {"fov_statistics": {"z_focus_mean": 1.5}}}
        file.write_text(json.dumps(content))
        table = pd.DataFrame(TRACKS, columns=["track_id", "parent_track_id", "t", "y"])
        table = table.assign(x=table["y"] + 1, z=0, id=range(1_000_001, 1_000_007), parent_id=-1)
        (folder / "tracks" / fov).mkdir(parents=True)
        table.drop(columns="z").to_csv(folder / "tracks" / fov / "tracks.csv", index=False)
    return folder


def collection(**changes: Any) -> dict[str, Any]:
    entry = {
        "name": "2024_A549_ZIKV",
        "data_path": "${datasets_root}/plate.zarr",
        "tracks_path": "${datasets_root}/tracks",
        "channels": [
            {"name": "Phase3D", "marker": "phase"},
            {"name": "GFP", "marker": "SEC61B", "wells": []},
        ],
        "perturbation_wells": {"ZIKV": ["A/1"], "uninfected": ["B/2"]},
        "interval_minutes": 30,
        "start_hpi": 4.0,
        "exclude_fovs": None,
        "marker": "SEC61B",
        "organelle": "endoplasmic reticulum",
        "microscope": "mantis",
        "pixel_size_xy_um": 0.149,
        "pixel_size_z_um": None,
    }
    return {"name": "infectomics", "description": "two\nlines", "experiments": [entry | changes]}


def write(path: Path, content: Any) -> Path:
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def index(experiments: Path, **options: Any) -> pd.DataFrame:
    given: dict[str, Any] = {"patch_size": (16, 16), "tau": TauRange(frames=(1, 1)), "progress": False}
    out = experiments.parent / "anchors.parquet"
    return read_anchors(build_index(experiments, out, **(given | options)).anchors_path)


def cells(data: Path, **columns: Any) -> pd.DataFrame:
    """Write the rows of a cell index of the plate as VisCy does, a row for each channel."""
    rows = [
        {
            "experiment": "exp",
            "store_path": str(data / "plate.zarr"),
            "tracks_path": str(data / "tracks"),
            "fov": fov.rpartition("/")[2],
            "well": fov.rpartition("/")[0],
            "y": float(y),
            "x": float(y + 1),
            "z": 0,
            "perturbation": "ZIKV" if fov.startswith("A") else "uninfected",
            "channel_name": channel,
            "marker": {"Phase3D": "phase", "GFP": "SEC61B"}[channel],
            "microscope": "mantis",
            "t": t,
            "track_id": track,
            "parent_track_id": parent,
            "global_track_id": f"exp_{fov}_{track}",
            "cell_id": f"exp_{fov}_{track}_{t}",
            "lineage_id": f"exp_{fov}_{track}",
            "hours_post_perturbation": 4 + t / 2,
            "interval_minutes": 30.0,
            "gene_name": "RSAD2" if track == 4 else "",
            "reporter": "",
            "pixel_size_xy_um": 0.149,
            "T_shape": 3,
            "norm_mean": 250.0 if channel == "GFP" else 10.0,
        }
        for fov in FOVS
        for track, parent, t, y in TRACKS
        for channel in CHANNELS
    ]
    table = pd.DataFrame(rows).assign(**columns)
    narrow = {"y": "float32", "x": "float32", "z": "int16", "t": "int32", "track_id": "int32"}
    floats = ["hours_post_perturbation", "interval_minutes", "pixel_size_xy_um", "norm_mean"]
    return table.astype(narrow | dict.fromkeys(floats, "float32"))


def write_cells(path: Path, frame: pd.DataFrame) -> Path:
    frame.to_parquet(path, index=False)
    return path


def test_a_collection_to_a_batch(data: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "collection.yml", collection())
    summary = import_viscy(source, tmp_path / "out", datasets_root=str(data))
    table = index(summary.experiments_path)
    assert len(table) == len(FOVS) * len(TRACKS) * 2
    assert dict(zip(table["channel"], table["marker"], strict=True)) == {"Phase3D": "phase", "GFP": "SEC61B"}
    assert set(zip(table["well"], table["condition"], strict=True)) == {
        ("A/1", "ZIKV"),
        ("B/2", "uninfected"),
    }
    np.testing.assert_allclose(table["hours_post_infection"], 4 + table["t"] / 2)
    assert table["organelle"].unique().tolist() == ["endoplasmic reticulum"]
    assert set(table["source_id"]) == set(range(1_000_001, 1_000_007))
    (experiment,) = read_metadata(tmp_path / "out" / "anchors.parquet").experiments.experiments
    assert (experiment.pixel_size_um, experiment.columns["microscope"]) == (0.149, "mantis")
    assert "# infectomics" in summary.experiments_path.read_text()
    dataset = AnchorDataset(tmp_path / "out" / "anchors.parquet")
    batch = dataset.__getitems__([0, 1, 2, 3])
    assert batch["anchor"].shape == (4, 1, 1, 16, 16)


def test_all_channels_of_a_cell_where_they_are_asked_for(data: Path, tmp_path: Path) -> None:
    source = write(
        tmp_path / "c.yaml", collection(data_path=str(data / "plate.zarr"), tracks_path=str(data / "tracks"))
    )
    summary = import_viscy(source, tmp_path / "out", samples="cells")
    content = yaml.safe_load(summary.experiments_path.read_text())
    (entry,) = content["experiments"]
    assert "samples" not in content
    assert (entry["channels"], entry["markers"]) == (
        ["Phase3D", "GFP"],
        {"Phase3D": "phase", "GFP": "SEC61B"},
    )


def test_channels_that_differ_by_well_make_several_experiments(data: Path, tmp_path: Path) -> None:
    channels = [
        {"name": "Phase3D"},
        {"name": "GFP", "marker": "SEC61B", "wells": ["A/1"]},
        {"name": "GFP", "marker": "TOMM20", "wells": ["B/2"]},
    ]
    source = write(tmp_path / "c.yaml", collection(channels=channels, marker=None))
    summary = import_viscy(source, tmp_path / "out", datasets_root=str(data))
    assert summary.experiments == ("2024_A549_ZIKV (SEC61B)", "2024_A549_ZIKV (TOMM20)")
    table = index(summary.experiments_path, statistics=False)
    found = table[["well", "channel", "marker"]].drop_duplicates().astype(str)
    assert sorted(map(tuple, found.to_numpy().tolist())) == [
        ("A/1", "GFP", "SEC61B"),
        ("A/1", "Phase3D", "Phase3D"),
        ("B/2", "GFP", "TOMM20"),
        ("B/2", "Phase3D", "Phase3D"),
    ]


def earlier(data: Path, **changes: Any) -> dict[str, Any]:
    entry = {
        "name": "2024_A549_DENV",
        "data_path": str(data / "plate.zarr"),
        "tracks_path": str(data / "tracks"),
        "channel_names": ["Phase3D", "GFP"],
        "source_channel": ["GFP"],
        "condition_wells": {"infected": ["A/1"]},
        "interval_minutes": 30.0,
        "start_hpi": 3.0,
        "organelle": "",
        "date": date(2024, 2, 4),
        "moi": 5.0,
    }
    return {"experiments": [entry | changes]}


def test_an_experiments_file_of_the_earlier_generation(data: Path, tmp_path: Path) -> None:
    """A well that no condition lists is left out, and counted."""
    source = write(tmp_path / "c.yaml", earlier(data))
    summary = import_viscy(source, tmp_path / "out")
    table = index(summary.experiments_path, statistics=False)
    assert set(table["well"]) == {"A/1"}
    assert table[["date", "moi"]].drop_duplicates().to_numpy().tolist() == [["2024-02-04", 5.0]]
    assert read_metadata(tmp_path / "out/anchors.parquet").dropped == {
        "2024_A549_DENV": {"well under no condition": len(TRACKS)}
    }


def test_a_snapshot_has_an_interval_of_zero(data: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "c.yaml", collection(interval_minutes=0))
    frame = cells(data, interval_minutes=0.0, hours_post_perturbation=4.0)
    table = write_cells(tmp_path / "c.parquet", frame[frame["t"] == 0])
    for i, file in enumerate([source, table]):
        summary = import_viscy(file, tmp_path / str(i), datasets_root=str(data))
        (entry,) = yaml.safe_load(summary.experiments_path.read_text())["experiments"]
        assert (entry["interval_minutes"], entry["start_hpi"]) == (0, 4.0)
    anchors = index(summary.experiments_path, statistics=False)
    assert (anchors["hours_post_infection"] == 4).all()


def test_a_cell_index_to_a_batch(data: Path, tmp_path: Path) -> None:
    """`fov` alone; z is a placeholder; genes belong to cells, the microscope to all."""
    source = write_cells(tmp_path / "cells.parquet", cells(data))
    summary = import_viscy(source, tmp_path / "out")
    (note,) = summary.notes
    assert "z is 0 in every row" in note
    table = index(summary.experiments_path)
    assert len(table) == len(cells(data))
    got = table[table["channel"] == "GFP"].reset_index(drop=True)
    expected = cells(data)
    expected["fov"] = expected["well"] + "/" + expected["fov"]
    expected = expected[expected["channel_name"] == "GFP"]
    expected = expected.sort_values(["fov", "t", "track_id"], ignore_index=True)
    for name in ("fov", "t", "track_id", "y", "x", "parent_track_id", "well", "marker", "microscope"):
        assert got[name].tolist() == expected[name].tolist(), name
    assert got["condition"].tolist() == expected["perturbation"].tolist()
    assert got["gene_name"].astype(object).fillna("").tolist() == expected["gene_name"].tolist()
    np.testing.assert_allclose(got["hours_post_infection"], expected["hours_post_perturbation"])
    assert (got["z"] == SHAPE[2] // 2).all()
    assert not {"norm_mean", "reporter", "T_shape"} & set(table)
    dataset = AnchorDataset(tmp_path / "out" / "anchors.parquet")
    assert dataset.__getitems__([0, 1])["anchor"].shape == (2, 1, 1, 16, 16)


def test_what_the_store_knows_is_used_where_it_is_asked_for(data: Path, tmp_path: Path) -> None:
    """The slice in focus, 1.5, is the second; values are those of the store's statistics."""
    source = write_cells(tmp_path / "cells.parquet", cells(data))
    asked = ["normalization", "focus_slice"]
    summary = import_viscy(source, tmp_path / "out", store_attributes=asked)
    table = index(summary.experiments_path, tau=TauRange(frames=(1, 2)))
    assert (table["z"] == 2).all()
    dataset = AnchorDataset(tmp_path / "out" / "anchors.parquet")
    batch = dataset.__getitems__([0, 1, 2, 3])
    pixels = np.random.default_rng(0).integers(1, 500, SHAPE).astype(np.uint16)
    for row, patch in zip(batch["rows"].tolist(), batch["anchor"].numpy(), strict=True):
        cell = dataset.valid_anchors.iloc[row]
        y, x = int(cell["y_crop"]) - 8, int(cell["x_crop"]) - 8
        channel = CHANNELS.index(str(cell["channel"]))
        raw = pixels[cell["t"], channel, 2, y : y + 16, x : x + 16].astype(np.float32)
        np.testing.assert_allclose(patch[0, 0], (raw - 250) / 144, rtol=1e-5, atol=1e-5)
    with pytest.raises(ExperimentsFileError, match="store_attributes"):
        import_viscy(source, tmp_path / "other", store_attributes=["norm"])


def test_cells_of_a_well_that_differ_have_a_column(data: Path, tmp_path: Path) -> None:
    """As in a pooled screen; whole names of fields of view; a mother that a selection left out."""
    frame = cells(data).drop(columns=["interval_minutes", "hours_post_perturbation", "marker"])
    frame["fov"] = frame["well"] + "/" + frame["fov"]
    frame["perturbation"] = np.where(frame["track_id"] == 4, "drug", "none")
    frame = frame[frame["track_id"] != 1].assign(z=2)
    summary = import_viscy(write_cells(tmp_path / "c.parquet", frame), tmp_path / "out")
    assert [note.partition(": ")[2][:24] for note in summary.notes] == [
        "3 mothers are not in the",
        "perturbation differs wit",
    ]
    table = index(summary.experiments_path, statistics=False)
    assert table["condition"].isna().all()
    assert set(zip(table["track_id"], table["perturbation"], strict=True)) == {
        (2, "none"),
        (3, "none"),
        (4, "drug"),
    }
    assert (table["z"] == 2).all()


def test_markers_that_differ_by_field_of_view_make_several_experiments(data: Path, tmp_path: Path) -> None:
    frame = cells(data)
    other = (frame["well"] == "B/2") & (frame["channel_name"] == "GFP")
    frame.loc[other, "marker"] = "TOMM20"
    summary = import_viscy(write_cells(tmp_path / "c.parquet", frame), tmp_path / "out")
    assert summary.experiments == ("exp (SEC61B)", "exp (TOMM20)")
    table = index(summary.experiments_path, statistics=False)
    assert len(table) == len(frame)
    assert set(table.loc[table["well"] == "B/2", "marker"]) == {"phase", "TOMM20"}


def broken(data: Path, how: str) -> pd.DataFrame:  # noqa: C901, PLR0911  a case each
    frame = cells(data)
    match how:
        case "a channel":
            return frame.drop(index=3)
        case "twice":
            return pd.concat([frame, frame.iloc[:1]])
        case "organelle":
            return frame.assign(organelle=np.where(frame["channel_name"] == "GFP", "ER", "cell"))
        case "y":
            return frame.assign(y=np.where(frame.index == 1, 3, frame["y"]).astype("float32"))
        case "store":
            return frame.assign(store_path=np.where(frame["well"] == "A/1", "a.zarr", "b.zarr"))
        case "well":
            return frame.assign(fov="C/1/0")
        case "marker":
            return frame.assign(marker=["a", *frame["marker"][1:]])
        case "columns":
            return frame.drop(columns="store_path")
        case "text":
            return frame.assign(interval_minutes="half an hour")
        case "list":
            return frame.assign(box=pd.Series([[1, 2]] * len(frame), dtype=object))
    return frame.assign(track_id=frame["track_id"].where(frame.index != 2))


CELLS_REFUSED = {
    "a channel": r"fov=A/1/0 t=1 track_id=1 channel_name=Phase3D has rows of 1 of the 2 channels",
    "twice": r"two rows for fov=A/1/0 t=0 track_id=1 channel_name=Phase3D; keep one",
    "organelle": r"column 'organelle' differs between the channels of .*--leave-out organelle",
    "y": r"column 'y' differs between the channels of fov=A/1/0 t=0 track_id=1",
    "store": r"column 'store_path' has 2 values \(a.zarr, b.zarr\) where an experiment has one",
    "well": r"column 'well' says 'A/1' of fov 'C/1/0'",
    "marker": r"channel 'Phase3D' of fov 'A/1/0' shows several things \(a, phase\)",
    "columns": r"no cell index: column 'store_path' is missing; it has experiment",
    "text": r"column 'interval_minutes' holds (large_)?string: numbers are needed; convert it",
    "list": r"column 'box' holds list<.*>: text or numbers are needed; .*--leave-out box",
    "missing": r"column 'track_id': row 2 of the experiment has no value",
}


@pytest.mark.parametrize("how", CELLS_REFUSED)
def test_cells_that_cannot_be_carried_are_refused(how: str, data: Path, tmp_path: Path) -> None:
    source = write_cells(tmp_path / "c.parquet", broken(data, how))
    with pytest.raises(ExperimentsFileError, match=CELLS_REFUSED[how]):
        import_viscy(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_columns_of_any_plain_type_are_carried(data: Path, tmp_path: Path) -> None:
    first = pd.Timestamp("2024-02-04")
    frame = cells(data, day=first, good=True, plate=7)
    frame["hour"] = first + pd.to_timedelta(frame["t"], unit="h")
    frame["batch"] = pd.Categorical(np.where(frame["t"] > 0, "late", "early"))
    frame["experiment"] = frame["experiment"].astype("category")
    frame["fov"] = frame["fov"].astype(int)
    summary = import_viscy(write_cells(tmp_path / "c.parquet", frame), tmp_path / "out")
    table = index(summary.experiments_path, statistics=False)
    assert len(table) == len(frame)
    assert set(table["day"].str.slice(0, 10)) == {"2024-02-04"}
    assert set(table["good"]) == {"true"}
    assert set(table["plate"]) == {7}
    assert (table["batch"] == np.where(table["t"] > 0, "late", "early")).all()
    assert table["hour"].str.slice(0, 13).tolist() == [f"2024-02-04 0{t}" for t in table["t"]]


def test_what_may_be_lost_is_left_out(data: Path, tmp_path: Path) -> None:
    source = write_cells(tmp_path / "c.parquet", broken(data, "organelle"))
    summary = import_viscy(source, tmp_path / "out", leave_out=["organelle"])
    assert "organelle" not in summary.experiments_path.read_text()


YAML_REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"data_path": "${HOME}/plate.zarr"}, r"only \$\{datasets_root\} is known; write the path out"),
    ({"treatment": "x"}, r"unknown key 'treatment', which cannot be carried; .*--leave-out treatment"),
    ({"perturbation_wells": {"a": ["A/1"], "b": ["A/1"]}}, "a well under more than one condition: A/1"),
    ({"channels": [{"name": "GFP"}, {"name": "GFP"}]}, "'GFP' is listed twice; give each its wells"),
    ({"channels": [{"name": "GFP", "wells": ["D/9"]}]}, "'GFP' is of well 'D/9', which is not in the store"),
    (
        {"channels": [{"name": "GFP", "marker": "a"}, {"name": "GFP", "marker": "b", "wells": ["A/1"]}]},
        "'GFP' shows two things in well 'A/1'; keep one",
    ),
    ({"interval_minutes": -1}, "interval_minutes=-1: Input should be greater than or equal to 0"),
    ({"tracks_path": None}, "tracks_path=None: Input should be a valid string"),
]


@pytest.mark.parametrize(("changes", "match"), YAML_REFUSED)
def test_collections_that_cannot_be_carried_are_refused(
    changes: dict[str, Any], match: str, data: Path, tmp_path: Path
) -> None:
    source = write(tmp_path / "c.yaml", collection(**changes))
    with pytest.raises(ExperimentsFileError, match=match):
        import_viscy(source, tmp_path / "out", datasets_root=str(data))
    assert not (tmp_path / "out").exists()


def test_all_problems_come_together(data: Path, tmp_path: Path) -> None:
    content = collection()
    content["experiments"].append(collection(microscop="x")["experiments"][0])
    content["owner"] = "me"
    source = write(tmp_path / "c.yaml", content)
    with pytest.raises(
        ExperimentsFileError, match=r"3 problems:(.|\n)*owner(.|\n)*does not say datasets_root"
    ):
        import_viscy(source, tmp_path / "out")
    with pytest.raises(ExperimentsFileError, match=r"'2024_A549_ZIKV' is used twice"):
        import_viscy(source, tmp_path / "out", datasets_root=str(data), leave_out=["owner", "microscop"])


def test_a_channel_that_the_store_is_not_said_to_have(data: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "c.yaml", earlier(data, source_channel=["RFP"]))
    with pytest.raises(ExperimentsFileError, match="source_channel='RFP': channel_names lack it"):
        import_viscy(source, tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (
            "experiments: [{name: a, data_path: a, tracks_path: a, channels: [P]}]",
            "an experiments file already",
        ),
        ("experiments: 3", "a mapping with the key 'experiments'"),
        ("[1]", "a mapping with the key 'experiments'"),
        ("a: [", "not valid YAML"),
    ],
)
def test_other_files_are_refused(text: str, match: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ExperimentsFileError, match=match):
        import_viscy(tmp_path / "c.yaml", tmp_path / "out")


def test_arguments_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ExperimentsFileError, match="does not exist"):
        import_viscy(tmp_path / "c.yaml", tmp_path / "out")
    (tmp_path / "c.csv").write_text("a")
    with pytest.raises(InvalidInputError, match=r"a collection \(.yaml\) or a cell index"):
        import_viscy(tmp_path / "c.csv", tmp_path / "out")
    with pytest.raises(InvalidInputError, match="samples='rows'"):
        import_viscy(tmp_path / "c.csv", tmp_path / "out", samples="rows")  # type: ignore[arg-type]
    (tmp_path / "d.parquet").write_bytes(b"no")
    with pytest.raises(ExperimentsFileError, match="the cell index cannot be read"):
        import_viscy(tmp_path / "d.parquet", tmp_path / "out")


def test_the_command(data: Path, tmp_path: Path) -> None:
    source = write_cells(tmp_path / "c.parquet", cells(data))
    arguments = ["import", str(source), "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "z is 0 in every row" in result.output
    assert "with 1 experiment" in result.output
    assert CliRunner().invoke(app, arguments).exit_code == 2
    assert CliRunner().invoke(app, [*arguments, "--overwrite"]).exit_code == 0
    source = write(tmp_path / "c.yaml", collection())
    result = CliRunner().invoke(app, ["import", str(source), "-o", str(tmp_path / "other")])
    assert result.exit_code == 2
    assert result.output.startswith("Error: ")
    assert "Traceback" not in result.output
