import hashlib
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import tensorstore as ts
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from viscy_data.columns import (
    CONDITION,
    EXPERIMENT,
    FOV,
    HOURS,
    NO_PARENT,
    PARENT_TRACK_ID,
    TRACK_ID,
    WELL,
    T,
    X,
    Y,
)
from viscy_data.dataset.anchor_dataset import AnchorDataset
from viscy_data.errors import InvalidInputError
from viscy_data.images.store import describe
from viscy_data.indexing.run import build_index
from viscy_data.synthetic.camera import _shot, make_camera
from viscy_data.synthetic.cells import Cells, phenotype, simulate
from viscy_data.synthetic.drawing import PAD, PATCH, draw
from viscy_data.synthetic.recipe import INFECTED, UNINFECTED, Recipe
from viscy_data.synthetic.setup import Setup, make_setup
from viscy_data.synthetic.writing import TRUTH_FILE, synthesize
from viscy_data.tables.experiment_fields import SAMPLES, Samples
from viscy_data.tables.experiments import Experiments
from viscy_data.tables.tau import TauRange
from viscy_data.tables.tracks.read import read_tracks


def make(
    out: Path, *, experiments: int = 2, frames: int = 12, seed: int = 3, overwrite: bool = False
) -> Path:
    return synthesize(
        out,
        experiments=experiments,
        wells=2,
        fovs=1,
        frames=frames,
        cells=6,
        size=128,
        seed=seed,
        overwrite=overwrite,
        progress=False,
    ).parent


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def truth(small: Path) -> pd.DataFrame:
    return pd.read_parquet(small / TRUTH_FILE)


def read_pixels(folder: Path, experiment: str, fov: str) -> NDArray[np.float64]:
    store = {"driver": "file", "path": str(folder / experiment / "plate.zarr" / fov / "0")}
    pixels = ts.open({"driver": "zarr3", "kvstore": store}).result().read().result()
    return np.asarray(pixels, np.float64)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def run(setup: Setup, *, infected: bool, cells: int = 30, frames: int = 18, size: int = 256) -> list[Cells]:
    rng = np.random.default_rng(5)
    return simulate(setup, infected=infected, cells=cells, frames=frames, size=size, rng=rng)


@pytest.mark.parametrize("threads", [1, 3])
def test_same_seed_gives_the_same_bytes(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    monkeypatch.setattr("viscy_data.synthetic.writing.os.cpu_count", lambda: threads)
    again = make(tmp_path / "again")
    assert digests(again) == digests(small)


def test_an_experiment_does_not_depend_on_how_many_there_are(small: Path, tmp_path: Path) -> None:
    alone = make(tmp_path, experiments=1)
    assert digests(alone / "synthetic_1") == digests(small / "synthetic_1")
    assert digests(small / "synthetic_1") != digests(small / "synthetic_2")


def test_another_seed_gives_other_pixels_and_tracks(small: Path, tmp_path: Path) -> None:
    other = make(tmp_path, experiments=1, seed=4)
    before, after = digests(small / "synthetic_1"), digests(other / "synthetic_1")
    changed = {name for name in before if before[name] != after[name]}
    assert {Path(name).name for name in changed} >= {"tracks.csv"}
    assert any("/c/" in name for name in changed)


def test_files_are_read_by_the_library(small: Path, truth: pd.DataFrame) -> None:
    for experiment in Experiments.load(small / "experiments.yaml").experiments:
        fovs = describe(experiment)
        assert [info.fov for info in fovs] == ["A/1/0", "B/1/0"]
        assert {info.pixel_size_um for info in fovs} == {(0.65, 0.65)}
        tracks = read_tracks(experiment, fovs)
        known = truth[truth[EXPERIMENT] == experiment.name].sort_values([FOV, T, TRACK_ID])
        for column in (FOV, TRACK_ID, PARENT_TRACK_ID, T):
            assert tracks[column].tolist() == known[column].tolist()
        np.testing.assert_allclose(tracks[[Y, X]], known[[Y, X]], atol=6e-4)
        assert {well: experiment.condition_of(well) for well in ("A/1", "B/1")} == {
            "A/1": UNINFECTED,
            "B/1": INFECTED,
        }
        np.testing.assert_allclose(known[HOURS], experiment.hours(known[T].to_numpy()), atol=1e-5)


def test_cells_are_where_tracks_say(small: Path, truth: pd.DataFrame) -> None:
    places = truth[(truth[T] == 4)].copy()
    for (experiment, fov), cells in places.groupby([EXPERIMENT, FOV]):
        image = read_pixels(small, str(experiment), str(fov))[4, 1, 0]
        rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
        distance = np.stack([np.hypot(rows - y, columns - x) for y, x in cells[[Y, X]].to_numpy()])
        inside = distance < cells["radius"].to_numpy()[:, None, None] * 0.5
        background = np.median(image[distance.min(axis=0) > 30])
        assert all(image[disc].mean() > background * 1.05 for disc in inside)


def test_an_isolated_cell_is_centred_on_its_place() -> None:
    setup = make_setup(0, seed=0)
    cells = run(setup, infected=False, cells=1, frames=2)[0]
    cells["y"], cells["x"], cells["outline"] = 100.3, 140.8, 0
    _, reporter = draw(cells, 256, nuclear_reporter=1.0)
    rows, columns = np.indices(reporter.shape)
    assert np.average(rows - PAD, weights=reporter) == pytest.approx(100.3, abs=1.0)
    assert np.average(columns - PAD, weights=reporter) == pytest.approx(140.8, abs=1.0)


def test_a_cell_shifts_with_its_place() -> None:
    cells = run(make_setup(0, seed=0), infected=False, cells=1, frames=2)[0]
    cells["y"], cells["x"] = 90.25, 101.5
    before = draw(cells, 200, 1.0)
    cells["y"] += 7
    cells["x"] -= 3
    after = draw(cells, 200, 1.0)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(np.roll(one, (7, -3), (0, 1)), other, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    index=st.integers(0, 6),
    infected=st.booleans(),
    cells=st.integers(1, 12),
    frames=st.integers(2, 30),
    size=st.sampled_from([64, 110, 256]),
    seed=st.integers(0, 2**32),
)
def test_tracks_and_divisions_are_valid(
    index: int, infected: bool, cells: int, frames: int, size: int, seed: int
) -> None:
    setup, rng = make_setup(index, seed), np.random.default_rng(seed)
    movie = simulate(setup, infected=infected, cells=cells, frames=frames, size=size, rng=rng)
    lives: dict[int, list[int]] = {}
    parents: dict[int, int] = {}
    for t, frame in enumerate(movie):
        assert ((frame["y"] >= 0) & (frame["y"] <= size - 1)).all()
        assert ((frame["x"] >= 0) & (frame["x"] <= size - 1)).all()
        assert (frame["radius"] * np.sqrt(frame["elongation"]) < PATCH / 2).all()
        assert len(np.unique(frame["track_id"])) == len(frame)
        for one in frame:
            lives.setdefault(int(one["track_id"]), []).append(t)
            assert (
                parents.setdefault(int(one["track_id"]), int(one["parent_track_id"]))
                == one["parent_track_id"]
            )
    assert all(life == list(range(life[0], life[-1] + 1)) for life in lives.values())
    mothers = [parent for parent in parents.values() if parent != NO_PARENT]
    assert all(mothers.count(mother) == 2 for mother in mothers)
    for track, parent in parents.items():
        assert lives[track][0] == (0 if parent == NO_PARENT else lives[parent][-1] + 1)


def test_cells_divide_and_daughters_resemble_their_mother() -> None:
    movie = run(make_setup(3, seed=1), infected=False)
    seen = {int(cell["track_id"]): cell for frame in reversed(movie) for cell in frame}
    daughters = [cell for cell in seen.values() if cell["parent_track_id"] != NO_PARENT]
    assert len(daughters) >= 20
    pairs = np.array([(seen[int(d["parent_track_id"])]["granularity"], d["granularity"]) for d in daughters])
    assert np.corrcoef(pairs.T)[0, 1] > 0.7


def test_phenotype_grows_in_infected_wells_only(truth: pd.DataFrame) -> None:
    assert (truth.loc[truth[CONDITION] == UNINFECTED, "phenotype"] == 0).all()
    ill = truth[truth[CONDITION] == INFECTED]
    assert (ill[WELL] == "B/1").all()
    assert (ill.loc[ill[HOURS] < 1, "phenotype"] == 0).all()
    assert ill.loc[ill[HOURS] > 8, "phenotype"].mean() > 0.4
    steps = ill.sort_values(T).groupby([EXPERIMENT, FOV, TRACK_ID])["phenotype"].diff().dropna()
    assert (steps >= 0).all()


@given(hours=st.floats(0, 48), later=st.floats(0, 10), onset=st.floats(0, 10), response=st.floats(0.4, 1.2))
def test_phenotype_never_shrinks(hours: float, later: float, onset: float, response: float) -> None:
    onsets, responses = np.array([onset]), np.array([response])
    now, then = phenotype(hours, onsets, responses), phenotype(hours + later, onsets, responses)
    assert 0 <= now[0] <= then[0] <= response
    assert hours > onset or now[0] == 0


def centre_over_rim(setup: Setup, movie: list[Cells], t: int) -> float:
    """Reporter above background in the middle of cells over that nearer to their edge."""
    camera = make_camera(setup, 256, np.random.default_rng(1))
    image = camera.expose(movie[t], np.random.default_rng([2, t]))[1].astype(np.float64)
    rows, columns = np.ogrid[:256, :256]
    distance = [np.hypot(rows - c["y"], columns - c["x"]) / c["radius"] for c in movie[t]]
    background = np.median(image[np.min(distance, axis=0) > 2])
    pairs = [(image[d < 0.3].mean(), image[(d > 0.5) & (d < 0.75)].mean()) for d in distance]
    return float(np.median([(middle - background) / (rim - background) for middle, rim in pairs]))


@pytest.mark.parametrize("index", range(5))
def test_phenotype_shows_in_the_pixels_late_and_in_infected_wells_only(index: int) -> None:
    setup = make_setup(index, seed=0)
    ill, healthy = run(setup, infected=True), run(setup, infected=False)
    early = [centre_over_rim(setup, movie, 0) for movie in (ill, healthy)]
    late = [centre_over_rim(setup, movie, 17) for movie in (ill, healthy)]
    assert late[0] < 0.93 * late[1]
    assert late[0] < 0.93 * early[0]
    assert abs(late[1] / early[1] - 1) < abs(late[0] / early[0] - 1)


def statistics(image: NDArray[Any]) -> list[float]:
    """Level and contrast of each channel, and how fine the structures of the first one are."""
    pixels = image.astype(np.float64)
    fine = np.abs(np.diff(pixels[0], axis=-1)).mean() / pixels[0].std()
    return [*np.log(pixels.mean(axis=(1, 2))), *np.log(pixels.std(axis=(1, 2))), float(np.log(fine))]


def test_experiments_differ_far_more_than_fields_of_view() -> None:
    table = np.array([[_one_fov(index, fov) for fov in range(4)] for index in range(5)])
    between, within = table.mean(axis=1).var(axis=0), table.var(axis=1).mean(axis=0)
    assert (between > 10 * within).all()


def _one_fov(index: int, fov: int) -> list[float]:
    setup, rng = make_setup(index, seed=0), np.random.default_rng([index, fov])
    movie = simulate(setup, infected=fov % 2 == 1, cells=14, frames=2, size=256, rng=rng)
    return statistics(make_camera(setup, 256, rng).expose(movie[0], rng))


def test_shot_noise_has_the_mean_and_variance_of_photons() -> None:
    for photons in (2.0, 30.0, 1000.0):
        counts = _shot(np.full(200_000, photons, np.float32), np.random.default_rng(0))
        assert counts.mean() == pytest.approx(photons, rel=0.01)
        assert counts.var() == pytest.approx(photons + 0.5, rel=0.02)


@pytest.mark.parametrize(
    ("field", "value"),
    [("experiments", 0), ("wells", 1), ("fovs", 0), ("frames", 0), ("cells", 0), ("size", 63), ("seed", -1)],
)
def test_counts_that_are_too_small_are_refused(field: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"{field}={value} is not an integer >="):
        Recipe(**{field: value})


@pytest.mark.parametrize("value", [True, 2.0, "2"])
def test_counts_that_are_no_integers_are_refused(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="experiments="):
        Recipe(experiments=value)


@pytest.mark.parametrize("wells", [2, 3, 5, 8, 12])
def test_infected_wells_are_the_fewer_but_never_none(wells: int) -> None:
    recipe = Recipe(wells=wells, fovs=2)
    for index in range(7):
        of = recipe.condition_wells(index)
        assert len(of[UNINFECTED]) + len(of[INFECTED]) == wells
        assert 1 <= len(of[INFECTED]) <= wells / 2
        assert len(set(recipe.fov_names(index))) == 2 * wells


def test_plates_differ_in_their_share_of_infected_wells(tmp_path: Path) -> None:
    path = synthesize(
        tmp_path, experiments=4, wells=8, fovs=1, frames=2, cells=1, size=64, seed=0, progress=False
    )
    stated = [
        {name: len(wells) for name, wells in (one.condition_wells or {}).items()}
        for one in Experiments.load(path).experiments
    ]
    assert [of[INFECTED] for of in stated] == [1, 2, 1, 3]
    truth = pd.read_parquet(tmp_path / TRUTH_FILE)
    made = truth[truth[CONDITION] == INFECTED].groupby(EXPERIMENT)[FOV].nunique()
    assert made.tolist() == [1, 2, 1, 3]
    assert truth.groupby(EXPERIMENT)[FOV].nunique().tolist() == [8, 8, 8, 8]


def test_more_cells_than_fit_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="cells=100 do not fit size=128: at most 18"):
        Recipe(cells=100, size=128)


def test_output_is_refused_unless_it_may_be_replaced(small: Path, tmp_path: Path) -> None:
    kept = tmp_path / "notes.txt"
    kept.write_text("mine")
    make(tmp_path, experiments=1, frames=2)
    with pytest.raises(
        InvalidInputError, match=r"already holds synthetic_1, truth.parquet, experiments.yaml"
    ):
        make(tmp_path, experiments=1, frames=2)
    make(tmp_path, experiments=1, frames=2, seed=9, overwrite=True)
    assert "seed=9" in (tmp_path / "experiments.yaml").read_text()
    assert kept.read_text() == "mine"


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr("viscy_data.synthetic.writing.write_tracks", fail)
    with pytest.raises(RuntimeError, match="disk is full"):
        make(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", ["experiments", "wells", "fovs", "frames"])
def test_more_than_the_disk_holds_is_refused_before_anything_is_made(tmp_path: Path, count: str) -> None:
    huge: dict[str, Any] = {count: 10**12}
    with pytest.raises(InvalidInputError, match=r"would be written, .* are free there; write less"):
        synthesize(tmp_path / "deep" / "out", progress=False, **huge)
    with pytest.raises(InvalidInputError, match=r"size=100000 must be at most 16384 pixels"):
        synthesize(tmp_path / "out", size=10**5, progress=False)
    assert not list(tmp_path.iterdir())


def test_seeds_of_any_length(tmp_path: Path) -> None:
    small: dict[str, Any] = {"experiments": 1, "wells": 2, "frames": 2, "cells": 1, "size": 64}
    assert synthesize(tmp_path / "out", seed=2**70, progress=False, **small).is_file()


@pytest.fixture(scope="module")
def unlike(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same experiments with all their channels, and with unlike ones, side by side."""
    folder = tmp_path_factory.mktemp("unlike")
    for samples in SAMPLES:
        synthesize(
            folder / samples,
            experiments=5,
            wells=2,
            frames=2,
            cells=3,
            size=64,
            samples=cast("Samples", samples),
            progress=False,
        )
    return folder


def test_unlike_channels_show_what_the_file_says(unlike: Path) -> None:
    experiments = Experiments.load(unlike / "channels" / "experiments.yaml")
    assert experiments.samples == "channels"
    markers = [[one.marker_of(channel) for channel in one.channels] for one in experiments.experiments]
    assert [len(one) for one in markers] == [2, 3, 2, 2, 1]
    places = {"phase": 0, "reporter": 1}
    for one, shown in zip(experiments.experiments, markers, strict=True):
        assert {info.channels for info in describe(one)} == {one.channels}
        pixels = read_pixels(unlike / "channels", one.name, "B/1/0")
        same = read_pixels(unlike / "cells", one.name, "B/1/0")
        for place, marker in enumerate(shown):
            if marker in places:
                np.testing.assert_array_equal(pixels[:, place], same[:, places[marker]])
    names = {name: set[str]() for one in experiments.experiments for name in one.channels}
    for one, shown in zip(experiments.experiments, markers, strict=True):
        for name, marker in zip(one.channels, shown, strict=True):
            names[name].add(marker)
    assert names["GFP"] == {"nucleus", "reporter"}  # a name alone does not say what is shown


def test_a_stain_of_nuclei_shines_in_the_middle_of_cells(unlike: Path) -> None:
    truth = pd.read_parquet(unlike / "channels" / TRUTH_FILE)
    pd.testing.assert_frame_equal(truth, pd.read_parquet(unlike / "cells" / TRUTH_FILE))
    for experiment, channel in (("synthetic_2", 1), ("synthetic_4", 0)):
        image = read_pixels(unlike / "channels", experiment, "A/1/0")[0, channel, 0]
        cells = truth[(truth[EXPERIMENT] == experiment) & (truth[FOV] == "A/1/0") & (truth[T] == 0)]
        rows, columns = np.ogrid[:64, :64]
        distance = np.stack(
            [np.hypot(rows - y, columns - x) / radius for y, x, radius in cells[[Y, X, "radius"]].to_numpy()]
        ).min(axis=0)
        middle, edge = (image[where].mean() for where in (distance < 0.2, (distance > 0.8) & (distance < 1)))
        assert middle > 1.2 * edge


def test_a_set_of_unlike_channels_has_a_row_of_each(unlike: Path, tmp_path: Path) -> None:
    table = tmp_path / "anchors.parquet"
    build_index(
        unlike / "channels" / "experiments.yaml",
        table,
        patch_size=(32, 32),
        tau=TauRange(frames=(1, 1)),
        progress=False,
    )
    rows = AnchorDataset(table).anchors
    found = rows.groupby("experiment", observed=True)["marker"].agg(lambda one: sorted(set(one)))
    assert found.tolist() == [
        ["phase", "reporter"],
        ["nucleus", "phase", "reporter"],
        ["phase", "reporter"],
        ["nucleus", "phase"],
        ["phase"],
    ]


def test_samples_are_cells_or_channels() -> None:
    with pytest.raises(InvalidInputError, match="samples='channel' must be 'cells' or 'channels'"):
        Recipe(samples="channel")  # type: ignore[arg-type]  # what a user may write


def test_same_cells_are_seen_through_different_microscopes(tmp_path: Path) -> None:
    def twins(out: Path, *, same_cells: bool) -> Path:
        return synthesize(
            out, experiments=3, wells=2, frames=3, cells=4, size=96, same_cells=same_cells, progress=False
        ).parent

    folder = twins(tmp_path / "twins", same_cells=True)
    truth = dict(iter(pd.read_parquet(folder / TRUTH_FILE).groupby(EXPERIMENT)))
    first = truth["synthetic_1"].drop(columns=EXPERIMENT).reset_index(drop=True)
    for name in ("synthetic_2", "synthetic_3"):
        pd.testing.assert_frame_equal(first, truth[name].drop(columns=EXPERIMENT).reset_index(drop=True))
        pixels = [read_pixels(folder, one, "B/1/0") for one in ("synthetic_1", name)]
        assert np.corrcoef(pixels[0][:, 1].ravel(), pixels[1][:, 1].ravel())[0, 1] > 0.5
        assert (pixels[0] != pixels[1]).any()
    usual = pd.read_parquet(twins(tmp_path / "usual", same_cells=False) / TRUTH_FILE)
    assert not set(usual[X].round(6)) & set(first[X].round(6)), "twins are cells that training never saw"
