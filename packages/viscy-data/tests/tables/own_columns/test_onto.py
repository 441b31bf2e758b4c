"""Annotations that are joined to cells after the index, against a loop over rows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data import InvalidInputError, join_annotations


def cells(experiments: int = 2, *, channels: int = 1) -> pd.DataFrame:
    """Return rows of two fields of view, three tracks and two frames in each experiment, not in order."""
    names = pd.MultiIndex.from_product(
        [[f"e{i}" for i in range(experiments)], ["A/1/0", "B/2/0"], [3, 1, 2], [1, 0], range(channels)],
        names=["experiment", "fov", "track_id", "t", "channel"],
    )
    frame = names.to_frame(index=False)
    frame["global_track_id"] = (
        frame["experiment"] + "/" + frame["fov"] + "/" + frame["track_id"].astype(str)
    ).astype("category")
    frame["fov"] = frame["fov"].astype("category")
    frame["source_id"] = frame["track_id"] * 1000 + frame["t"] + 100 * (frame["fov"] == "B/2/0")
    frame["source_track_name"] = pd.Categorical("spot " + frame["track_id"].astype(str))
    return frame.sample(frac=1, random_state=1).set_index(pd.Index(range(100, 100 + len(frame))))


def write(path: Path, frame: pd.DataFrame) -> Path:
    frame.to_csv(path, index=False)
    return path


@settings(max_examples=12, deadline=None)
@given(
    key=st.sampled_from(["track_id", "source_id", "source_track_name"]),
    framed=st.booleans(),
    channels=st.integers(1, 2),
    chosen=st.sets(st.integers(0, 23), min_size=1, max_size=12),
)
def test_each_cell_gets_the_row_that_has_its_keys(
    tmp_path_factory: pytest.TempPathFactory, key: str, channels: int, chosen: set[int], *, framed: bool
) -> None:
    ours = cells(channels=channels)
    keys = ["experiment", "fov", key, *(["t"] if framed or key == "source_id" else [])]
    rows = ours.drop_duplicates(keys).iloc[[i for i in chosen if i < len(ours.drop_duplicates(keys))] or [0]][
        keys
    ]
    rows = rows.assign(label=[f"l{i}" for i in range(len(rows))], score=np.arange(len(rows)) + 0.5)
    stranger = rows.iloc[:1].assign(fov="Z/9/9")
    path = write(tmp_path_factory.mktemp("t") / "labels.csv", pd.concat([rows, stranger]))

    found, report = join_annotations(path, ours)

    said = {tuple(row[keys]): (row["label"], row["score"]) for _, row in rows.iterrows()}
    expected = [said.get(tuple(row[keys]), (None, np.nan)) for _, row in ours.iterrows()]
    assert found.index.equals(ours.index)
    assert found["label"].astype(object).where(found["label"].notna(), None).tolist() == [
        one for one, _ in expected
    ]
    np.testing.assert_array_equal(found["score"], [score for _, score in expected])
    assert (report.rows, report.matched, report.without_cell) == (len(rows) + 1, len(rows), 1)
    assert report.cells == len(ours) // channels
    assert report.cells_without_row * channels == sum(one is None for one, _ in expected)


def test_numbers_without_gaps_stay_whole(tmp_path: Path) -> None:
    ours = cells(1)
    rows = ours[["fov", "track_id", "t"]].assign(grade=range(len(ours)))
    found, report = join_annotations(write(tmp_path / "l.csv", rows), ours)
    assert found["grade"].dtype == np.int64
    assert found["grade"].tolist() == list(range(len(ours)))
    assert report.cells_without_row == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fov,track_id,label\nA/1/0,1,x\n", "no column 'experiment', and the cells are of 2 experiments"),
        ("experiment,fov,track_id,label\nelse,A/1/0,1,x\n", "no row is of an experiment that the cells have"),
        ("experiment,fov,track_id,label\ne0,Q/1/0,1,x\n", "none of its 1 rows belongs to a cell"),
        ("experiment,fov,track_id,label\ne0,A/1/0,1,x\ne0,A/1/0,1,y\n", "lines 2 and 3, column 'label'"),
        ("experiment,fov,track_id,t\ne0,A/1/0,1,0\n", "no column beside its keys"),
        (
            "experiment,fov,track_id,channel\ne0,A/1/0,1,0\n",
            "column 'channel' is one that the cells have already",
        ),
        ("experiment,fov,label\ne0,A/1/0,x\n", "no column 'track_id'"),
        ("experiment,fov,track_id,label\ne0,A/1/0,1.5,x\n", "line 2, column 'track_id': 1.5 is not a whole"),
        ("experiment,fov,source_id,label\ne0,A/1/0,,x\n", "line 2, column 'source_id': the value is missing"),
    ],
)
def test_what_cannot_be_joined_names_file_row_and_column(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=said) as raised:
        join_annotations(path, cells())
    assert str(path) in str(raised.value)


def test_cells_without_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cells lacks the columns track_id"):
        join_annotations(tmp_path / "l.csv", cells().drop(columns="track_id"))


def test_names_of_experiments_stay_as_they_are_written(tmp_path: Path) -> None:
    """001 is another than 1, and 1e3 another than 1000."""
    ours = cells(1)
    both = pd.concat(
        [
            ours.assign(experiment=name, global_track_id=name + "/" + ours["global_track_id"].astype(str))
            for name in ("001", "1")
        ],
        ignore_index=True,
    )
    rows = both[both["experiment"] == "001"][["experiment", "fov", "track_id", "t"]].assign(label="x")
    found, report = join_annotations(write(tmp_path / "labels.csv", rows), both)
    assert report.matched == len(ours)
    assert (found["label"].notna() == (both["experiment"] == "001")).all()


@pytest.mark.parametrize("word", ["", "NA", "None"])
def test_a_row_whose_experiment_is_missing_is_refused(word: str, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(f"experiment,fov,track_id,label\ne0,A/1/0,1,a\n{word},A/1/0,2,b\n")
    with pytest.raises(
        InvalidInputError, match=r"labels\.csv: line 3, column 'experiment': empty, or a word"
    ):
        join_annotations(file, cells())
