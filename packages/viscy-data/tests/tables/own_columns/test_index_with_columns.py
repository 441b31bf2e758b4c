"""Columns of one's own from files to the anchors table: joins, their counts, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from shutil import copyfile, copytree
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pa_compute
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
import pytest
import yaml
from index_cases import NAMES, build, write_experiments

from viscy_data.composition.axes import Balance, Grouping, Weighting
from viscy_data.composition.plan import BatchPlan
from viscy_data.errors import InvalidInputError
from viscy_data.tables.anchors.read import read_anchors, read_metadata

type WriteStore = Callable[..., Path]

WELLS = "well,drug,dose_um\nA01,DMSO,0\nB/2,nocodazole,0.5\nC/1,taxol,2\n"
LABELS = (
    "fov,track_id,t,label,weight\nA/1/0,1,0,round,2\nA/1/0,1,1,,3\nB/2/0,2,2,flat,1.5\nB/2/0,77,0,flat,1\n"
)
TRACKS = "experiment,fov,track_id,clone\na,A/1/0,1,7\na,A/1/0,3,9\nb,A/1/0,1,8\n"


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory, write_store: WriteStore) -> Path:
    folder = tmp_path_factory.mktemp("stores")
    write_experiments(folder, write_store)
    return folder


@pytest.fixture
def project(tmp_path: Path, stores: Path) -> Path:
    """Three experiments of the same stores, with tracks of their own."""
    for name in NAMES:
        (tmp_path / f"{name}.zarr").symlink_to(stores / f"{name}.zarr")
        copytree(stores / name, tmp_path / name)
    copyfile(stores / "experiments.yaml", tmp_path / "experiments.yaml")
    return tmp_path


@pytest.fixture
def change(project: Path) -> Callable[..., None]:
    """Give experiments columns of their own."""
    path = project / "experiments.yaml"
    before = path.read_text()

    def changed(**keys: dict[str, Any]) -> None:
        content = yaml.safe_load(before)
        for entry in content["experiments"]:
            entry.update(keys.get(entry["name"], {}))
        path.write_text(yaml.safe_dump(content, sort_keys=False))

    return changed


def _build(folder: Path, **files: str) -> Any:
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    return build(folder, statistics=False, overwrite=True)


def _reference(table: pd.DataFrame) -> pd.DataFrame:
    """Join with pandas, slowly."""
    cells = pd.DataFrame(
        [("A/1/0", 1, 0, "round", 2.0), ("A/1/0", 1, 1, None, 3.0), ("B/2/0", 2, 2, "flat", 1.5)],
        columns=["fov", "track_id", "t", "label", "weight"],
    )
    plain = table[["experiment", "well", "fov", "track_id", "t"]].astype({"fov": str, "well": str})
    found = plain.merge(cells, how="left", on=["fov", "track_id", "t"])
    found["drug"] = found["well"].map({"A/1": "DMSO", "B/2": "nocodazole"})
    found["dose_um"] = found["well"].map({"A/1": 0.0, "B/2": 0.5})
    found["clone"] = np.where(found["fov"] == "A/1/0", found["track_id"].map({1: 7, 3: 9}), np.nan)
    found["microscope"], found["batch"] = "dragonfly", 3
    own = ["microscope", "batch", "drug", "dose_um", "label", "weight", "clone"]
    found.loc[found["experiment"] != "a", own] = np.nan
    return found[own]


def test_columns_of_all_levels_are_those_of_a_slow_join(project: Path, change: Any) -> None:
    change(
        a={
            "columns": {"microscope": "dragonfly", "batch": 3},
            "well_columns": "wells.csv",
            "cell_columns": ["labels.csv", {"path": "tracks.csv", "columns": ["clone"]}],
        }
    )
    summary = _build(project, wells=WELLS, labels=LABELS, tracks=TRACKS)
    table = read_anchors(summary.anchors_path)
    own = _reference(table)
    assert list(table.columns[-7:]) == list(own.columns)
    for name in own:
        values = table[name].astype(object).where(table[name].notna(), None).tolist()
        assert values == own[name].astype(object).where(own[name].notna(), None).tolist(), name
    held = pa_parquet.read_schema(summary.anchors_path)
    assert str(held.field("drug").type) == "dictionary<values=string, indices=int32, ordered=0>"
    assert [str(held.field(name).type) for name in ("batch", "dose_um", "weight")] == [
        "int64",
        "double",
        "double",
    ]
    assert held.names[-1] == "has_positive"
    assert {one.name: one.nulls for one in summary.columns} == own.isna().sum().to_dict()
    said = read_metadata(summary.anchors_path).columns
    assert said["drug"] == {
        "level": "well",
        "type": "text",
        "nulls": 18 - 6,
        "values": ["DMSO", "nocodazole"],
    } | {"nulls": int(own["drug"].isna().sum())}
    assert (said["dose_um"]["least"], said["dose_um"]["most"]) == (0, 0.5)
    counted = [(one.level, one.rows, one.matched, one.without_cell) for one in summary.joins]
    assert counted == [("well", 3, 2, 1), ("cell", 4, 3, 1), ("cell", 2, 2, 0)]
    of_a = int((table["experiment"] == "a").sum())
    lacking = [one.cells_without_row for one in summary.joins]
    known = own[table["experiment"] == "a"]
    assert lacking == [0, of_a - 3, int(known["clone"].isna().sum())]


def test_a_plan_reads_the_columns_it_needs_and_no_other(project: Path, change: Any) -> None:
    entry = {"columns": {"drug": "DMSO"}, "cell_columns": "labels.csv"}
    change(a=entry, b=entry | {"columns": {"drug": "taxol"}}, c=entry)
    path = _build(project, labels=LABELS).anchors_path
    plan = BatchPlan(2, grouping=Grouping("drug"), balance=Balance("well"), weighting=Weighting("weight"))
    table = read_anchors(path, plan=plan)
    assert list(table) == ["drug", "well", "weight"]
    assert table["drug"].cat.categories.tolist() == ["DMSO", "taxol"]
    with pytest.raises(
        InvalidInputError, match=r"columns='drgu' is not in the table.*Did you mean 'drug'.*cell_col"
    ):
        read_anchors(path, columns=["drgu"])


def test_a_table_of_columns_that_changes_is_read_again(project: Path, change: Any) -> None:
    change(a={"well_columns": ["wells.csv"]})
    before = read_anchors(_build(project, wells=WELLS).anchors_path)["drug"]
    after = read_anchors(_build(project, wells=WELLS.replace("DMSO", "water")).anchors_path)["drug"]
    assert set(before.dropna()) - set(after.dropna()) == {"DMSO"}


def test_whole_numbers_of_one_experiment_and_fractions_of_another_are_one_column(
    project: Path, change: Any
) -> None:
    change(a={"columns": {"dose": 1}}, b={"columns": {"dose": 0.5}}, c={"columns": {"dose": None}})
    summary = _build(project)
    table = read_anchors(summary.anchors_path)
    assert table.groupby("experiment", observed=True)["dose"].first().to_dict() == {
        "a": 1.0,
        "b": 0.5,
        "c": None,
    } | {"c": pytest.approx(np.nan, nan_ok=True)}
    assert [(one.type, one.least, one.most) for one in summary.columns] == [("double", 0.5, 1.0)]


@pytest.mark.parametrize(
    ("entries", "files", "message"),
    [
        ({"a": {"columns": {"t": 1}}}, {}, "columns: column 't' is one that the anchors table has already"),
        (
            {"a": {"columns": {"drug": "x"}, "well_columns": "wells.csv"}},
            {"wells": WELLS},
            "well_columns=.*wells.csv: column 'drug' comes from columns already.*path:",
        ),
        ({"a": {"columns": {"a/b": 1}}}, {}, "columns: column 'a/b': a name without '/'"),
        ({"a": {"well_columns": "no.csv"}}, {}, "well_columns=.*no.csv' does not exist"),
        ({"a": {"columns": {"day": [1]}}}, {}, "columns.day=.*text, a number, or true or false is needed"),
        (
            {"a": {"well_columns": "wells.csv"}},
            {"wells": "drug\nx\n"},
            "wells.csv: no column 'well', by which the table is joined",
        ),
        (
            {"a": {"well_columns": "wells.csv"}},
            {"wells": "well,drug\nA/1,x\nB/2,z\nA1,y\n"},
            r"wells.csv: lines 2 and 4, column 'drug': 'x' and 'y' for one well",
        ),
        (
            {"a": {"well_columns": "wells.csv"}},
            {"wells": "well,drug\nH/1,x\n"},
            "none of its 1 rows belongs to a cell. It has H/1; the experiment has A/1, B/2",
        ),
        (
            {"a": {"cell_columns": "labels.csv"}},
            {"labels": "fov,track_id,t,label\nA/1/0,1,0,x\nA/1/0,1,0,y\n"},
            r"labels.csv: lines 2 and 3, column 'label': 'x' and 'y' for one fov, track_id, t",
        ),
        (
            {"a": {"cell_columns": "labels.csv"}},
            {"labels": "fov,track_id,t,label\nA/1/0,1,0,x\nA/1/0,1.5,0,y\n"},
            "labels.csv: line 3, column 'track_id': 1.5 is not a whole number",
        ),
        (
            {"a": {"cell_columns": "labels.csv"}},
            {"labels": "track_id,label\n1,x\n"},
            "no column 'fov', and the store of experiment 'a' has 2 fields of view",
        ),
        (
            {"a": {"cell_columns": "labels.csv"}},
            {"labels": "experiment,fov,track_id,label\nA,A/1/0,1,x\n"},
            "no row is of experiment 'a'; there are A",
        ),
        (
            {"a": {"columns": {"dose": 1}}, "b": {"columns": {"dose": "high"}}},
            {},
            "column 'dose' of experiment 'a' holds numbers.*experiment 'b' holds text",
        ),
        (
            {"a": {"cell_columns": {"path": "labels.csv", "columns": ["labl"]}}},
            {"labels": LABELS},
            "labels.csv: no column 'labl'.*Did you mean 'label'",
        ),
        ({"a": {"track_columns": ["area"]}}, {}, "missing columns: area"),
    ],
)
def test_what_cannot_be_joined_is_refused_by_file_row_and_column(
    project: Path, change: Any, entries: dict[str, Any], files: dict[str, str], message: str
) -> None:
    change(**entries)
    with pytest.raises(InvalidInputError, match=message):
        _build(project, **files)


def test_rows_that_say_the_same_twice_are_one(project: Path, change: Any) -> None:
    change(a={"well_columns": "wells.csv"})
    summary = _build(project, wells="well,drug\nA/1,x\nA/1,x\nB/2,y\n")
    assert [(one.rows, one.matched) for one in summary.joins] == [(3, 3)]


def test_columns_of_the_tracks_follow_their_rows(project: Path, change: Any) -> None:
    for fov in ("A/1/0", "B/2/0"):
        path = project / "a" / fov / "tracks.csv"
        table = pd.read_csv(path)
        table["area"] = table["track_id"] * 100 + table["t"]
        table.sample(frac=1, random_state=0).to_csv(path, index=False)
    change(a={"track_columns": ["area"]})
    table = read_anchors(_build(project).anchors_path)
    of_a = table[table["experiment"] == "a"]
    assert (of_a["area"] == of_a["track_id"] * 100 + of_a["t"]).all()
    assert table["area"].isna().sum() == len(table) - len(of_a)


def test_where_a_row_is_a_channel_each_channel_of_a_cell_holds_its_columns(
    project: Path, change: Any
) -> None:
    change(a={"well_columns": "wells.csv", "cell_columns": "labels.csv"})
    cells = read_anchors(_build(project, wells=WELLS, labels=LABELS).anchors_path)
    path = project / "experiments.yaml"
    path.write_text(yaml.safe_dump({"samples": "channels"} | yaml.safe_load(path.read_text())))
    summary = _build(project)
    rows = read_anchors(summary.anchors_path)
    assert rows.columns.tolist() == [*cells.columns[:-4], "channel", "marker", "cell_id", *cells.columns[-4:]]
    many = len(rows) // len(cells)
    assert many > 1
    for name in cells.columns[-4:]:
        pd.testing.assert_series_equal(rows[name], cells[name].repeat(many).reset_index(drop=True))
    assert {one.name: one.nulls for one in summary.columns} == {
        name: int(rows[name].isna().sum()) for name in cells.columns[-4:]
    }


@pytest.mark.parametrize("kind", ["string", "large_string", "dictionary"])
def test_parquet_says_what_csv_says(project: Path, change: Any, kind: str) -> None:
    change(a={"well_columns": "wells.csv", "cell_columns": "labels.csv"})
    from_csv = read_anchors(_build(project, wells=WELLS, labels=LABELS).anchors_path)
    for name in ("wells", "labels"):
        table = pa_csv.read_csv(project / f"{name}.csv")
        for place, one in enumerate(table.schema):
            if pa.types.is_string(one.type):
                texts = table[one.name]
                texts = pa_compute.if_else(pa_compute.equal(texts, ""), None, texts)
                texts = texts.dictionary_encode() if kind == "dictionary" else texts.cast(kind)
                table = table.set_column(place, one.name, texts)
        pa_parquet.write_table(table, project / f"{name}.parquet")
    change(a={"well_columns": "wells.parquet", "cell_columns": "labels.parquet"})
    pd.testing.assert_frame_equal(read_anchors(_build(project).anchors_path), from_csv)


def test_cells_of_which_a_table_says_nothing_are_filled(project: Path, change: Any) -> None:
    fill = {"label": "not annotated", "weight": 1}
    change(a={"cell_columns": {"path": "labels.csv", "fill": fill}})
    table = read_anchors(_build(project, labels=LABELS).anchors_path)
    change(a={"cell_columns": "labels.csv"})
    bare = read_anchors(_build(project, labels=LABELS).anchors_path)
    of_a = (table["experiment"] == "a").to_numpy()
    for name, value in fill.items():
        found, known = (one[name].astype(object) for one in (table, bare))
        assert found[of_a].tolist() == known[of_a].where(known[of_a].notna(), value).tolist()
        assert found[~of_a].isna().all()


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        ({"weight": "none"}, "labels.csv: column 'weight' holds numbers, and fill='none' is of another kind"),
        ({"label": 0}, "labels.csv: column 'label' holds text, and fill=0 is of another kind"),
        ({"lable": "x"}, r"labels.csv: fill='lable' is not a column that is taken.*Did you mean 'label'"),
        ({"label": [1]}, "text, a number, or true or false is needed"),
    ],
)
def test_what_cannot_be_filled_is_refused(project: Path, change: Any, fill: Any, message: str) -> None:
    change(a={"cell_columns": {"path": "labels.csv", "fill": fill}})
    with pytest.raises(InvalidInputError, match=message):
        _build(project, labels=LABELS)
