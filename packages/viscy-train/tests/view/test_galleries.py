"""Which cells are put on the page of an evaluation."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_train.cli.app import main
from viscy_train.evaluation.cells import Cells
from viscy_train.view.galleries import ASKED, AT_AN_END, at_the_ends, most_alike


def cells_of(seed: int, experiments: int = 3, told: float = 9.0) -> Cells:
    """Return two frames of tracks in two wells of each experiment; one feature tells the condition."""
    rng = np.random.default_rng(seed)
    wells = [f"{name}/1/0" for name in ("A", "B", "C", "D")]
    keys = pd.MultiIndex.from_product(
        [[f"e{one}" for one in range(experiments)], wells, range(6), range(2)],
        names=["experiment", "fov", "track_id", "t"],
    )
    obs = keys.to_frame(index=False)
    obs["global_track_id"] = [f"{one.experiment}/{one.fov}/{one.track_id}" for one in obs.itertuples()]
    obs["lineage_id"] = obs["global_track_id"]
    obs["condition"] = np.where(obs["fov"].isin(wells[:2]), "mock", "drug")
    embedding = rng.normal(size=(len(obs), 4))
    embedding[:, 0] += told * (obs["condition"] == "drug")
    return Cells.of(embedding, obs)


def test_ends_are_of_the_value_that_an_embedding_tells_and_of_lineages_of_their_own() -> None:
    cells = cells_of(0)
    (label,) = cells.labels
    rows, lacking = at_the_ends(cells, label)
    assert lacking == ""
    assert [row.heading for row in rows] == ["Most like drug", "Most like mock"]
    for code, row in enumerate(rows):
        assert row.places.size == AT_AN_END == np.unique(cells.lineage[row.places]).size
        assert (label.codes[row.places] == code).all()
        assert row.caption.startswith("8 of these 8 are ")


def test_without_a_probe_there_is_a_reason() -> None:
    cells = cells_of(0)
    (label,) = cells.labels
    assert at_the_ends(cells, replace(label, codes=0 * label.codes)) == ([], "all cells have one condition")


@settings(max_examples=10)
@given(st.integers(0, 99), st.integers(2, 4))
def test_those_most_alike_are_the_nearest_tracks_of_other_experiments(seed: int, experiments: int) -> None:
    cells = cells_of(seed, experiments)
    rows = most_alike(cells, seed)
    assert len(rows) == ASKED == np.unique(cells.lineage[[row.places[0] for row in rows]]).size
    centred = cells.embedding - cells.embedding.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    for row in rows:
        first, others = row.places[0], row.places[1:]
        expected: list[int] = []
        for one in np.argsort(-(unit @ unit[first])):
            seen = cells.lineage[expected].tolist()
            if cells.experiment[one] != cells.experiment[first] and cells.lineage[one] not in seen:
                expected.append(int(one))
        assert others.tolist() == expected[:ASKED]


def test_one_experiment_alone_has_no_neighbours() -> None:
    assert most_alike(cells_of(0, experiments=1)) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--patches", "patches=True: a page is needed to show them on; add --html page.html."),
        ("--anchors a.parquet", "anchors: a table is needed for patches only; add --patches."),
    ],
)
def test_patches_need_a_page(given: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(f"evaluate e.zarr {given}".split()) == 1
    assert capsys.readouterr().err == f"error: {said}\n"
