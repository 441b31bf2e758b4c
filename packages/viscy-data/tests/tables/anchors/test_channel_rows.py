from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viscy_data.columns import ANCHOR_COLUMNS, CHANNEL_COLUMNS
from viscy_data.tables.anchors.build import build_experiment, concat_anchors
from viscy_data.tables.anchors.read import AnchorsMetadata, read_anchors
from viscy_data.tables.anchors.write import write_anchors
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.experiments import Experiments
from viscy_data.tables.positives import Positives
from viscy_data.tables.tau import TauRange

CHANNELS = {"RFP": "ER", "Phase3D": "phase", "GFP": "ER"}


def experiment(folder: Path, channels: object = CHANNELS, **changes: object) -> Experiment:
    """Write two fields of view of two tracks, the second of which divides."""
    rows = [(1, -1, 0), (1, -1, 1), (1, -1, 3), (2, -1, 0), (2, -1, 1), (3, 2, 2), (4, 2, 2), (3, 2, 3)]
    for i, fov in enumerate(("A/1/0", "B/1/0")):
        (folder / fov).mkdir(parents=True, exist_ok=True)
        frame = pd.DataFrame(rows, columns=["track_id", "parent_track_id", "t"])
        frame.assign(y=20 + i + 3.0 * frame["track_id"], x=16.0).to_csv(folder / fov / "t.csv", index=False)
    content = {
        "name": "e",
        "data_path": folder,
        "tracks_path": folder,
        "channels": channels,
        "condition_wells": {"mock": ["A/1"], "infected": ["B/1"]},
        "samples": "channels",
    }
    return Experiment.model_validate(content | changes)


def fovs(one: Experiment) -> list[FovInfo]:
    return [FovInfo(f"{w}/0", w, (4, len(one.channels), 1, 64, 64), one.channels) for w in ("A/1", "B/1")]


def built(one: Experiment, blank: tuple[tuple[str, int, str], ...] = ()) -> pd.DataFrame:
    return build_experiment(one, fovs(one), patch_size=(8, 8), blank=blank).frame


def test_each_row_becomes_one_of_each_channel(tmp_path: Path) -> None:
    one = experiment(tmp_path)
    rows, cells = built(one), built(experiment(tmp_path, samples="cells"))
    assert list(rows) == [column.name for column in (*ANCHOR_COLUMNS, *CHANNEL_COLUMNS)]
    assert list(cells) == [column.name for column in ANCHOR_COLUMNS]
    for channel, marker in CHANNELS.items():
        own = rows[rows["channel"] == channel].reset_index(drop=True)
        assert (own["marker"] == marker).all()
        assert own["cell_id"].tolist() == list(range(len(cells)))
        pd.testing.assert_frame_equal(own[list(cells)], cells)
    by = ["experiment", "fov", "t", "track_id", "channel"]
    keys = rows[by].astype({"channel": str})
    assert keys.equals(keys.sort_values(by, kind="stable"))


def test_only_the_rows_of_a_blank_channel_are_left_out(tmp_path: Path) -> None:
    one = experiment(tmp_path)
    whole = built(one)
    blank = (("A/1/0", 1, "GFP"), ("B/1/0", 3, "RFP"), ("C/1/0", 0, "RFP"))
    result = build_experiment(one, fovs(one), patch_size=(8, 8), blank=blank)
    lost = pd.Series(False, index=whole.index)
    for fov, t, channel in blank:
        lost |= (whole["fov"] == fov) & (whole["t"] == t) & (whole["channel"] == channel)
    pd.testing.assert_frame_equal(result.frame, whole[~lost].reset_index(drop=True))
    assert result.dropped == {"mock": {"blank frame": 2}, "infected": {"blank frame": 2}}


def test_what_is_lost_is_counted_in_rows(tmp_path: Path) -> None:
    one = experiment(tmp_path, condition_wells={"mock": ["A/1"]})
    result = build_experiment(one, fovs(one), patch_size=(8, 8))
    assert result.dropped == {None: {"well under no condition": 3 * 8}}
    assert len(result.frame) == 3 * 8


def test_a_table_of_unlike_channels_goes_through_its_file(tmp_path: Path) -> None:
    entries = [
        experiment(tmp_path / "a", name="a"),
        experiment(tmp_path / "b", ["Phase3D"], name="b"),
        experiment(tmp_path / "c", {"BF": "phase", "RFP": "nucleus"}, name="c"),
    ]
    table = concat_anchors([built(one) for one in reversed(entries)])
    assert table.groupby("experiment", observed=True).size().to_dict() == {"a": 48, "b": 16, "c": 32}
    ids = table.groupby("cell_id")
    assert ids.ngroups == 3 * 16
    assert (ids[["experiment", "fov", "track_id", "t"]].nunique() == 1).to_numpy().all()
    path = tmp_path / "anchors.parquet"
    experiments = Experiments(experiments=tuple(entries))
    write_anchors(path, table, AnchorsMetadata(experiments, (8, 8), TauRange(frames=(1, 2))))
    again = read_anchors(path)
    pd.testing.assert_frame_equal(again.astype(object), table.astype(object))
    assert again["cell_id"].dtype == np.int32
    assert read_anchors(path, columns=["marker", "t"])["marker"].cat.categories.tolist() == [
        "ER",
        "Phase3D",
        "nucleus",
        "phase",
    ]
    phase = read_anchors(path, filters=[("marker", "==", "phase")])
    assert set(phase["channel"]) == {"Phase3D", "BF"}


def test_a_positive_is_of_the_same_channel(tmp_path: Path) -> None:
    """Against the positives of cells: the same cell, in the channel that was asked of."""
    rows, cells = built(experiment(tmp_path)), built(experiment(tmp_path, samples="cells"))
    of_rows = Positives(rows, {"e": (1, 2)}, sisters=True)
    of_cells = Positives(cells, {"e": (1, 2)}, sisters=True)
    cell = rows["cell_id"].to_numpy()
    np.testing.assert_array_equal(of_rows.has_positive, of_cells.has_positive[cell])
    channel = rows["channel"].cat.codes.to_numpy()
    for code in range(len(CHANNELS)):
        places = np.flatnonzero(of_rows.has_positive & (channel == code))
        for number in range(10):
            drawn = of_rows.draw(places, epoch=0, number=number, places=places)
            assert (channel[drawn] == code).all()
            alike = of_cells.draw(cell[places], epoch=0, number=number, places=places)
            np.testing.assert_array_equal(cell[drawn], alike)


@given(seed=st.integers(0, 99))
def test_channels_of_a_frame_share_its_tau(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    rows = built(experiment(tmp_path_factory.mktemp("tracks")))
    positives = Positives(rows, {"e": (1, 2)}, seed=seed, tau_per="frame")
    t = rows["t"].to_numpy()
    here = np.flatnonzero(positives.has_positive & (rows["track_id"] == 1) & (t == 1))
    both = np.flatnonzero(positives.has_positive & (rows["track_id"] == 2) & (t == 1))
    for one in (here, both):
        drawn = positives.draw(one, epoch=0, number=0)
        assert len(np.unique(t[drawn[rows["fov"].to_numpy()[one] == "A/1/0"]])) == 1
