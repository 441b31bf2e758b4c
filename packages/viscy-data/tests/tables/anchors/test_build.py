from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data.columns import ANCHOR_COLUMNS
from viscy_data.errors import InvalidInputError
from viscy_data.tables.anchors.build import build_anchors, build_experiment, concat_anchors
from viscy_data.tables.anchors.read import AnchorsMetadata, read_anchors, read_metadata
from viscy_data.tables.anchors.write import write_anchors
from viscy_data.tables.borders import Border
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.experiments import Experiments
from viscy_data.tables.tau import TauRange

TABLE = Path(__file__).resolve().parents[6] / "shared" / "data" / "tables" / "celegans_live_tools.csv.gz"
SIZE = (40, 50)


def experiment(tracks: Path, name: str = "a", **changes: Any) -> Experiment:
    values: dict[str, Any] = {
        "condition_wells": {"infected": ["A/1"], "mock": ["A/2"]},
        "interval_minutes": 30,
        "start_hpi": 2.0,
    }
    return Experiment(
        name=name, data_path=Path("a"), tracks_path=tracks, channels=("c",), **(values | changes)
    )


def info(fov: str, um: float | None = None, depth: int = 5) -> FovInfo:
    size = None if um is None else (um, um)
    return FovInfo(fov, fov.rpartition("/")[0], (10, 1, depth, *SIZE), ("c",), size)


FOVS = [info(fov) for fov in ("A/2/0", "A/1/1", "A/1/0")]


def write_tracks(folder: Path, table: pd.DataFrame) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "tracks.csv", index=False)
    return folder / "tracks.csv"


@st.composite
def track_tables(draw: st.DrawFn) -> pd.DataFrame:
    """Shuffled tables of up to three fovs, with divisions, and places in and out of the image."""
    rows: list[tuple[Any, ...]] = []
    for fov in draw(st.sets(st.sampled_from([one.fov for one in FOVS]), min_size=1)):
        parents: dict[int, int] = {}
        for track in range(draw(st.integers(1, 4))):
            parents[track] = draw(st.sampled_from([-1, *parents]))
            for t in draw(st.sets(st.integers(track, 9), min_size=1, max_size=4)) | {track}:
                y, x = (draw(st.floats(-5, side + 5, width=32)) for side in SIZE)
                rows.append(
                    (fov, track, parents[track], t, y, x, draw(st.sampled_from([-0.4, 0, 2.5, 4.6, 5, 6])))
                )
    names = ["fov", "track_id", "parent_track_id", "t", "y", "x", "z"]
    return pd.DataFrame(rows, columns=names).iloc[draw(st.permutations(range(len(rows))))]


def rows_of(table: pd.DataFrame) -> list[list[Any]]:
    found: list[list[Any]] = table.sort_values(["fov", "t", "track_id"]).astype(object).to_numpy().tolist()
    return found


def root(table: pd.DataFrame, fov: str, track: int) -> int:
    own = table[table["fov"] == fov]
    parents: dict[int, int] = dict(own[["track_id", "parent_track_id"]].to_numpy().tolist())
    while parents[track] >= 0:
        track = parents[track]
    return track


def pixels_outside(centre: int, size: int, extent: int) -> int:
    box = range(centre - size // 2, centre - size // 2 + size)
    return sum(not 0 <= pixel < extent for pixel in box)


@settings(deadline=None, max_examples=60)
@given(table=track_tables(), border=st.sampled_from(get_args(Border.__value__)))
def test_every_row_is_an_anchor_or_counted(
    tmp_path_factory: pytest.TempPathFactory, table: pd.DataFrame, border: Border
) -> None:
    """A loop over the rows, straight from the description of the columns."""
    path = write_tracks(tmp_path_factory.mktemp("t"), table)
    frame, dropped = build_anchors(experiment(path, z="tracks"), FOVS, patch_size=(16, 9), border=border)
    expected: list[tuple[Any, ...]] = []
    shares: list[float] = []
    lost = {"centre outside the image": 0, "z outside the stack": 0, "patch reaches over the border": 0}
    for fov, track, parent, t, real_y, real_x, real_z in rows_of(table):
        y, x = np.float32(real_y), np.float32(real_x)
        centre = [min(int(np.floor(one + 0.5)), side - 1) for one, side in zip((y, x), SIZE, strict=True)]
        rows, columns = (pixels_outside(*one) for one in zip(centre, (16, 9), SIZE, strict=True))
        if not (-0.5 <= y < SIZE[0] and -0.5 <= x < SIZE[1]):
            lost["centre outside the image"] += 1
        elif not -0.5 <= real_z < 5:
            lost["z outside the stack"] += 1
        elif border == "drop" and rows + columns > 0:
            lost["patch reaches over the border"] += 1
        else:
            if border == "shift":
                centre = [min(max(centre[0], 8), 40 - 16 + 8), min(max(centre[1], 4), 50 - 9 + 4)]
            well = fov[:3]
            place = f"a/{well}/{fov}/"
            expected.append(
                (
                    "a",
                    {"A/1": "infected", "A/2": "mock"}[well],
                    well,
                    fov,
                    track,
                    parent,
                    t,
                    place + str(track),
                    place + str(root(table, fov, track)),
                    np.float32(2 + t / 2),
                    y,
                    x,
                    min(int(np.floor(real_z + 0.5)), 4),
                    *centre,
                )
            )
            shares.append(1 - (16 - rows) * (9 - columns) / (16 * 9))
    assert [tuple(row)[:-1] for row in frame.astype(object).to_numpy()] == expected
    np.testing.assert_allclose(frame["outside"], shares, atol=1e-7)
    assert ((frame["outside"] > 0) == (np.array(shares) > 0)).all()
    assert dropped == {reason: count for reason, count in lost.items() if count}


def simple(folder: Path, **columns: Any) -> Path:
    table = {"fov": "A/1/0", "track_id": [1, 1, 2], "t": [0, 1, 0], "y": 20.0, "x": 20.0} | columns
    return write_tracks(folder, pd.DataFrame(table))


def test_columns_have_their_types(tmp_path: Path) -> None:
    frame, _ = build_anchors(experiment(simple(tmp_path)), FOVS, patch_size=(16, 16))
    assert tuple(frame.columns) == tuple(column.name for column in ANCHOR_COLUMNS)
    for column in ANCHOR_COLUMNS:
        kind = "category" if column.dtype == "dictionary" else column.dtype
        assert str(frame[column.name].dtype) == kind
    assert frame["z"].tolist() == [2, 2, 2]
    assert frame["fov"].cat.categories.tolist() == ["A/1/0"]


@pytest.mark.parametrize("unknown", ["interval_minutes", "start_hpi"])
def test_hours_are_null_where_the_clock_is_not_known(tmp_path: Path, unknown: str) -> None:
    changes: dict[str, Any] = {unknown: None}
    frame, _ = build_anchors(experiment(simple(tmp_path), **changes), FOVS, patch_size=(16, 16))
    assert frame["hours_post_infection"].isna().all()


def test_conditions_are_null_only_where_none_is_known(tmp_path: Path) -> None:
    path = simple(tmp_path, fov=["A/1/0", "A/2/0", "A/1/0"])
    frame, dropped = build_anchors(experiment(path, condition_wells=None), FOVS, patch_size=(16, 16))
    assert frame["condition"].isna().all()
    assert dropped == {}
    partly = build_experiment(experiment(path, condition_wells={"mock": ["A/2"]}), FOVS, patch_size=(16, 16))
    assert partly.frame["condition"].tolist() == ["mock"]
    assert partly.dropped == {None: {"well under no condition": 2}}
    assert partly.without_tracks == ("A/1/1",)


def test_crops_scale_with_the_pixel_size(tmp_path: Path) -> None:
    """Patches of 8 at 1 um are 16 pixels of 0.5 um: centres stay 8 away from the borders."""
    path = simple(tmp_path, y=[0.0, 39.0, 20.4])
    fovs = [info("A/1/0", um=0.5)]
    for pixel_size, expected, outside in (
        (None, [8, 32, 20], [8, 7, 0]),
        (1.0, [4, 36, 20], [4, 3, 0]),
        (1.005, [4, 36, 20], [4, 3, 0]),
    ):
        one = experiment(path, pixel_size_um=pixel_size)
        for border, centres in (("shift", expected), ("reflect", [0, 39, 20])):
            frame, _ = build_anchors(
                one, fovs, patch_size=(8, 8), common_pixel_size_um=1.0, border=cast("Border", border)
            )
            ordered = frame.sort_values(["track_id", "t"])
            assert ordered["y_crop"].tolist() == centres
            size = 16 if pixel_size is None else 8
            assert ordered["outside"].tolist() == [one / size for one in outside]
        frame, dropped = build_anchors(one, fovs, patch_size=(8, 8), common_pixel_size_um=1.0, border="drop")
        assert (frame["y_crop"].tolist(), dropped) == ([20], {"patch reaches over the border": 2})


def test_a_patch_that_cannot_be_moved_inside_names_the_fov(tmp_path: Path) -> None:
    path = simple(tmp_path)
    message = r"patch_size does not fit .*A/1/0 \(40 x 50, needs 41 x 8\), .*; take border='reflect'"
    with pytest.raises(InvalidInputError, match=message):
        build_anchors(experiment(path), FOVS, patch_size=(41, 8), border="shift")
    with pytest.raises(InvalidInputError, match="needs 64 x 64"):
        build_anchors(
            experiment(path),
            [info("A/1/0", um=0.25)],
            patch_size=(16, 16),
            common_pixel_size_um=1.0,
            border="shift",
        )
    frame, _ = build_anchors(experiment(path), FOVS, patch_size=(40, 50), border="shift")
    assert set(frame["y_crop"]) == {20}
    with pytest.raises(InvalidInputError, match="border='mirror'"):
        build_anchors(experiment(path), FOVS, patch_size=(8, 8), border=cast("Border", "mirror"))


def test_a_patch_larger_than_the_image_is_told_of(tmp_path: Path) -> None:
    path = simple(tmp_path, y=[20.0, 20.0, 21.0])
    half = build_experiment(experiment(path), FOVS, patch_size=(80, 50))
    assert (half.frame["outside"].tolist(), half.notes) == ([pytest.approx(0.55)] * 3, ())
    more = build_experiment(experiment(path), [*FOVS, info("A/1/2")], patch_size=(81, 50))
    (note,) = more.notes
    assert note == (
        "more than half of each patch lies outside fov A/1/0 (40 x 50, patches of 81 x 50), "
        "A/1/1 (40 x 50, patches of 81 x 50), A/1/2 (40 x 50, patches of 81 x 50) and 1 more"
    )
    with pytest.raises(InvalidInputError, match=r"needs 64000 x 64000\); check the pixel sizes"):
        build_experiment(
            experiment(path), [info("A/1/0", um=0.001)], patch_size=(64, 64), common_pixel_size_um=1.0
        )
    nothing = build_experiment(experiment(path), FOVS, patch_size=(41, 8), border="drop")
    assert len(nothing.frame) == 0
    assert nothing.dropped == {"infected": {"patch reaches over the border": 3}}


def test_a_lineage_is_traced_through_rows_that_are_dropped(tmp_path: Path) -> None:
    path = simple(tmp_path, track_id=[1, 2, 3], t=[0, 1, 2], parent_track_id=[-1, 1, 2], y=[-9.0, -9.0, 20.0])
    frame, _ = build_anchors(experiment(path), FOVS, patch_size=(16, 16))
    assert frame["global_track_id"].tolist() == ["a/A/1/A/1/0/3"]
    assert frame["lineage_id"].tolist() == ["a/A/1/A/1/0/1"]


@pytest.fixture
def metadata(tmp_path: Path) -> AnchorsMetadata:
    both = Experiments(
        experiments=tuple(experiment(tmp_path / name, name, condition_wells=None) for name in ("b", "a"))
    )
    return AnchorsMetadata(
        both, (16, 9), TauRange(hours=(0.5, 1.5)), dropped={"a": {"why": 3}}, border="drop"
    )


@pytest.fixture
def anchors(tmp_path: Path) -> pd.DataFrame:
    frames = []
    for name in ("b", "a"):
        path = simple(tmp_path / name, fov=["A/1/0", "A/2/0", "A/1/0"])
        frames.append(build_anchors(experiment(path, name), FOVS, patch_size=(16, 9))[0])
    return concat_anchors(frames)


def test_experiments_are_put_together_sorted(anchors: pd.DataFrame) -> None:
    assert anchors["experiment"].tolist() == list("aaabbb")
    keys = list(
        anchors[["experiment", "fov", "t", "track_id"]].astype(object).itertuples(index=False, name=None)
    )
    assert keys == sorted(keys)
    assert anchors["global_track_id"].tolist()[3:] == [
        "b/A/1/A/1/0/1",
        "b/A/1/A/1/0/2",
        "b/A/2/A/2/0/1",
    ]
    assert all(str(anchors[c.name].dtype) == "category" for c in ANCHOR_COLUMNS if c.dtype == "dictionary")


def test_what_is_written_is_read(tmp_path: Path, anchors: pd.DataFrame, metadata: AnchorsMetadata) -> None:
    path = tmp_path / "experiment=x" / "anchors.parquet"
    path.parent.mkdir()
    write_anchors(path, anchors, metadata)
    pd.testing.assert_frame_equal(read_anchors(path), anchors)
    assert read_metadata(path) == metadata
    assert metadata.digest == metadata.experiments.digest()
    assert [p.name for p in path.parent.iterdir()] == ["anchors.parquet"]


def test_columns_and_rows_can_be_chosen(
    tmp_path: Path, anchors: pd.DataFrame, metadata: AnchorsMetadata
) -> None:
    path = tmp_path / "anchors.parquet"
    write_anchors(path, anchors, metadata)
    assert list(read_anchors(path, columns=["t", "fov"]).columns) == ["t", "fov"]
    part = read_anchors(path, experiments=["b"], filters=[("t", "==", 0)])
    expected = anchors[(anchors["experiment"] == "b") & (anchors["t"] == 0)].reset_index(drop=True)
    assert part.astype(object).equals(expected.astype(object))
    assert part["experiment"].cat.categories.tolist() == ["b"]
    assert len(read_anchors(path, filters=[("fov", "==", "A/2/0")], columns=["t"])) == 2


def test_nulls_survive(tmp_path: Path, anchors: pd.DataFrame, metadata: AnchorsMetadata) -> None:
    path = tmp_path / "anchors.parquet"
    empty = pd.Categorical([None] * 6)
    write_anchors(path, anchors.assign(condition=empty, hours_post_infection=np.float32(np.nan)), metadata)
    found = read_anchors(path)
    assert found["condition"].isna().all()
    assert found["hours_post_infection"].isna().all()


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, anchors: pd.DataFrame, metadata: AnchorsMetadata
) -> None:
    path = tmp_path / "anchors.parquet"
    write_anchors(path, anchors, metadata)
    before = path.read_bytes()
    with pytest.raises(InvalidInputError, match="missing columns of the anchors table: fov"):
        write_anchors(path, anchors.drop(columns="fov"), metadata)
    with pytest.raises(Exception, match="left"):
        write_anchors(path, anchors.assign(y="left"), metadata)
    assert path.read_bytes() == before
    assert list(tmp_path.glob("*anchors*")) == [path]


def test_what_is_no_anchors_table_is_refused(
    tmp_path: Path, anchors: pd.DataFrame, metadata: AnchorsMetadata
) -> None:
    path = tmp_path / "anchors.parquet"
    with pytest.raises(InvalidInputError, match=r"anchors\.parquet.*does not exist"):
        read_anchors(path)
    path.write_text("experiments: []")
    with pytest.raises(InvalidInputError, match=r"anchors\.parquet.*not a Parquet file"):
        read_anchors(path)
    anchors.to_parquet(path)
    with pytest.raises(InvalidInputError, match="not an anchors table"):
        read_anchors(path)
    write_anchors(path, anchors, metadata)
    with pytest.raises(InvalidInputError, match="columns='hours'"):
        read_anchors(path, columns=["hours"])
    with pytest.raises(InvalidInputError, match="experiments='c' is not in the table, which has b, a"):
        read_anchors(path, experiments=["c"])
    for version, which in ((1, "an older"), (9, "another")):
        other = metadata.to_json(tmp_path).replace('"schema_version": 3', f'"schema_version": {version}')
        message = f"schema_version={version}: .*{which} version of viscy-data, and 3 is read; build it again"
        with pytest.raises(InvalidInputError, match=message):
            AnchorsMetadata.from_json(other, tmp_path)


@pytest.mark.skipif(not TABLE.exists(), reason=f"the real table is not here: {TABLE}")
def test_real_embryos_become_one_table(tmp_path: Path) -> None:
    table = pd.read_csv(TABLE)
    names = sorted(table["experiment"].unique())[:3]
    frames = []
    for name in names:
        path = write_tracks(tmp_path / name, table[table["experiment"] == name])
        store = FovInfo("e", "", (180, 1, 70, 750, 720), ("c",))
        frame, dropped = build_anchors(
            experiment(path, name, condition_wells=None), [store], patch_size=(64, 64)
        )
        assert dropped == {}
        frames.append(frame)
    anchors = concat_anchors(frames)
    assert len(anchors) == table["experiment"].isin(names).sum()
    own = table[table["experiment"].isin(names)].drop_duplicates(["experiment", "track_id"])
    assert anchors["lineage_id"].nunique() == (own["parent_track_id"] < 0).sum()
    assert anchors["global_track_id"].nunique() == len(own)


def test_the_image_ends_where_its_last_pixel_does(tmp_path: Path) -> None:
    path = simple(tmp_path, track_id=range(7), t=0, y=[-0.6, -0.5, -0.4, 0.4, 39.4, 39.99, 40.0], x=20.0)
    frame, dropped = build_anchors(experiment(path), FOVS, patch_size=(8, 8))
    assert frame["track_id"].tolist() == [1, 2, 3, 4, 5]
    assert frame["y_crop"].tolist() == [0, 0, 0, 39, 39]
    assert dropped == {"centre outside the image": 2}
