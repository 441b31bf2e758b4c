"""Which columns of a cell index belong to what, beside a slow reference; no store is opened."""

from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data.errors import ExperimentsFileError
from viscy_data.importing.run import import_viscy

VALUES = st.sampled_from([None, "a", "b"])


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Draw cells of some fields of view, each with channels of its own, and a column of any level."""
    fovs = draw(st.lists(st.sampled_from(["A/1/0", "A/1/1", "B/2/0"]), min_size=1, max_size=3, unique=True))
    level = draw(st.sampled_from(["experiment", "cell", "cell", "row"]))
    whole = draw(VALUES)
    rows = []
    for fov in fovs:
        channels = draw(st.lists(st.sampled_from(["P", "G", "R"]), min_size=1, max_size=2, unique=True))
        marker = draw(st.sampled_from([None, "ER", "DNA"]))
        cells = draw(st.sets(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=4))
        for track, t in sorted(cells):
            of_cell = draw(VALUES)
            for channel in channels:
                own = {"experiment": whole, "cell": of_cell, "row": None}[level]
                value = draw(VALUES) if level == "row" else own
                rows.append((fov, channel, marker, t, track, float(t), float(track), value))
    names = ["fov", "channel_name", "marker", "t", "track_id", "y", "x", "own"]
    frame = pd.DataFrame(draw(st.permutations(rows)), columns=names)
    return frame.assign(experiment="e", store_path="a.zarr", well=frame["fov"].str[:3])


def reference(frame: pd.DataFrame) -> dict[Any, tuple[set[str], set[Any]]]:
    """Return the fields of view and the cells with their values, by what channels show."""
    rows: list[dict[Any, Any]] = frame.astype(object).where(frame.notna(), None).to_dict("records")
    shown = defaultdict(set)
    for row in rows:
        shown[row["fov"]].add((row["channel_name"], row["marker"] or row["channel_name"]))
    found: dict[Any, tuple[set[str], set[Any]]] = defaultdict(lambda: (set(), set()))
    for row in rows:
        fovs, cells = found[frozenset(shown[row["fov"]])]
        fovs.add(row["fov"])
        cells.add(tuple(row[name] for name in ("fov", "t", "track_id", "y", "x", "own")))
    return found


@settings(max_examples=25)
@given(tables())
def test_columns_and_channels_are_those_of_a_slow_reference(frame: pd.DataFrame) -> None:
    expected = reference(frame)
    of_cell = frame.groupby(["fov", "t", "track_id"])["own"].agg(lambda one: len(set(one.fillna("-"))))
    with TemporaryDirectory() as folder:
        frame.to_parquet(Path(folder, "c.parquet"), index=False)
        try:
            summary = import_viscy(Path(folder, "c.parquet"), Path(folder, "out"))
        except ExperimentsFileError as error:
            assert "column 'own' differs between the channels of" in str(error)  # noqa: PT017
            assert of_cell.max() > 1
            return
        assert of_cell.max() == 1
        entries = yaml.safe_load(summary.experiments_path.read_text())["experiments"]
        assert len(entries) == len(expected) == len({entry["name"] for entry in entries})
        for entry in entries:
            fovs, cells = expected[frozenset(entry["channels"].items())]
            assert set(entry["exclude_fovs"]) == set(frame["fov"]) - fovs
            table = pd.read_parquet(summary.experiments_path.parent / entry["tracks_path"])
            values = {cell[-1] for cell in cells}
            assert ("own" in entry.get("track_columns", [])) == (len(values) > 1)
            assert entry.get("columns", {}).get("own") == (next(iter(values)) if len(values) == 1 else None)
            everywhere = [entry.get("columns", {}).get("own")] * len(table)
            own = [None if pd.isna(one) else one for one in table.get("own", everywhere)]
            keys = ["fov", "t", "track_id", "y", "x"]
            got = [(*row, value) for row, value in zip(table[keys].itertuples(index=False), own, strict=True)]
            assert len(got) == len(set(got))
            assert set(got) == cells


def _cells(folder: Path, **columns: Any) -> Path:
    rows = [("A/1/0", "P", 0, track, 1.0, 1.0, "e", "a.zarr") for track in range(3)]
    names = ["fov", "channel_name", "t", "track_id", "y", "x", "experiment", "store_path"]
    pd.DataFrame(rows, columns=names).assign(**columns).to_parquet(folder / "c.parquet")
    return folder / "c.parquet"


def _imported(source: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    summary = import_viscy(source, source.parent / "out")
    entry = yaml.safe_load(summary.experiments_path.read_text())["experiments"][0]
    return entry, pd.read_parquet(source.parent / "out" / entry["tracks_path"])


def test_ids_that_a_float_would_round_are_carried_as_text(tmp_path: Path) -> None:
    barcode = pd.array([2**60, 2**60 + 1, None], dtype="Int64")
    _, table = _imported(_cells(tmp_path, barcode=barcode))
    assert table["barcode"].dropna().tolist() == [str(2**60), str(2**60 + 1)]


@pytest.mark.parametrize("name", ["t", "track_id", "parent_track_id"])
@pytest.mark.parametrize("value", [1.5, 1e19, float("inf")])
def test_numbers_of_cells_that_are_not_whole_are_refused(name: str, value: float, tmp_path: Path) -> None:
    source = _cells(tmp_path, **{name: [0.0, 1.0, value]})
    with pytest.raises(ExperimentsFileError, match=rf"column '{name}': row 2 .*is not a whole number"):
        import_viscy(source, tmp_path / "out")


def test_numbers_that_are_floats_and_names_that_are_numbers_are_carried(tmp_path: Path) -> None:
    source = _cells(tmp_path, parent_track_id=[None, 0.0, 0.0], t=[0.0, 1.0, 2.0], experiment=7)
    frame = pd.read_parquet(source)
    frame.iloc[[2, 0, 1]].to_parquet(source)  # pandas adds a column of row numbers
    entry, table = _imported(source)
    assert entry["name"] == "7"
    assert "track_columns" not in entry
    assert sorted(table["parent_track_id"]) == [-1, 0, 0]
    assert table["t"].dtype == "int64"
