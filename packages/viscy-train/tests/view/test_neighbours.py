import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_train.evaluation.arrays import unit_rows
from viscy_train.view.cells import Viewed
from viscy_train.view.looks import DISTANCE, OWN_SHARE, alike, looks
from viscy_train.view.neighbours import COUNT, find_neighbours, one_of_each


def cells(seed: int, count: int = 60, experiments: int = 3) -> Viewed:
    rng = np.random.default_rng(seed)
    lineage = rng.integers(0, 12, count)
    experiment = lineage % experiments
    obs = pd.DataFrame(
        {
            "experiment": [f"e{one}" for one in experiment],
            "condition": [("a", "b")[one % 2] for one in lineage // 3],
            "lineage_id": [f"l{one:02}" for one in lineage],
            "global_track_id": [f"l{one:02}/{rng.integers(2)}" for one in lineage],
            "t": np.arange(count),
        }
    )
    return Viewed(unit_rows(rng.normal(size=(count, 4))), obs, count, 0, {})


def slowly(viewed: Viewed, row: int, *, elsewhere: bool) -> list[int]:
    """Go through all cells from the nearest on, and take what is allowed."""
    obs = viewed.obs
    one, taken, tracks = obs.iloc[row], [], set()
    for other in np.argsort(-(viewed.unit @ viewed.unit[row]), kind="stable"):
        there = obs.iloc[other]
        own = there["experiment"] == one["experiment"]
        allowed = not own if elsewhere else own and there["lineage_id"] != one["lineage_id"]
        if allowed and there["global_track_id"] not in tracks:
            tracks.add(there["global_track_id"])
            taken.append(int(other))
    return taken[:COUNT]


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_neighbours_are_the_nearest_of_different_tracks(seed: int) -> None:
    viewed = cells(seed)
    found = find_neighbours(viewed)
    for row in (0, 31):
        for rows, elsewhere in ((found.elsewhere, True), (found.own, False)):
            assert [one for one in rows[row] if one >= 0] == slowly(viewed, row, elsewhere=elsewhere)


def test_there_may_be_fewer_neighbours_than_wanted() -> None:
    viewed = cells(0, count=5, experiments=1)
    assert (find_neighbours(viewed).elsewhere == -1).all()
    assert one_of_each(np.array([[-1, -1]]), np.array([0])).tolist() == [[-1] * COUNT]
    assert looks(viewed, find_neighbours(viewed)) == {}


def test_progress_tells_of_every_row_twice() -> None:
    told: list[int] = []
    find_neighbours(cells(1), advance=told.append)
    assert sum(told) == 2 * 60


def test_columns_from_neighbours_are_what_they_say() -> None:
    viewed = cells(2)
    found = find_neighbours(viewed)
    made = looks(viewed, found)
    condition = viewed.obs["condition"].to_numpy()
    for row in range(0, 60, 7):
        there = found.elsewhere[row]
        there = there[there >= 0]
        cosine = viewed.unit[there] @ viewed.unit[row]
        assert made[DISTANCE][row] == 1 - cosine[0]
        assert made[alike("condition")][row] == np.mean(condition[there] == condition[row])
        own = [one for one in found.own[row] if one >= 0]
        both = sorted([*own, *there], key=lambda one: -(viewed.unit[one] @ viewed.unit[row]))[:COUNT]
        assert np.isclose(made[OWN_SHARE][row], np.mean([one in own for one in both]))
