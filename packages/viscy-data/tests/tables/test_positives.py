import math
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data.errors import InvalidInputError
from viscy_data.tables.positives import Positives

TABLE = Path(__file__).resolve().parents[5] / "shared" / "data" / "tables" / "celegans_live_tools.csv.gz"

type Candidates = list[dict[int, set[int]]]


def related(a: int, b: int, parent: dict[int, int], *, sisters: bool) -> bool:
    """Say whether track b is a, an ancestor, a descendant, or (with sisters) a sister of a."""

    def line(track: int) -> list[int]:
        found = [track]
        while parent.get(found[-1], -1) >= 0:
            found.append(parent[found[-1]])
        return found

    same_parent = parent.get(a, -1) >= 0 and parent.get(a, -1) == parent.get(b, -1)
    return b in line(a) or a in line(b) or (sisters and same_parent)


def oracle(table: pd.DataFrame, frames: dict[str, tuple[int, int]], *, sisters: bool) -> Candidates:
    """Compare every row with every other one."""
    rows = table[["experiment", "well", "fov", "track_id", "parent_track_id", "t"]].astype(object).to_numpy()
    parents: dict[tuple[Any, ...], dict[int, int]] = {}
    for experiment, well, fov, track, parent, _ in rows:
        parents.setdefault((experiment, well, fov), {})[track] = parent
    found: Candidates = []
    for anchor in rows:
        low, high = frames[anchor[0]]
        of_anchor: dict[int, set[int]] = {}
        for j, other in enumerate(rows):
            tau = other[5] - anchor[5]
            place = tuple(anchor[:3])
            if (
                low <= tau <= high
                and place == tuple(other[:3])
                and related(anchor[3], other[3], parents[place], sisters=sisters)
            ):
                of_anchor.setdefault(tau, set()).add(j)
        found.append(of_anchor)
    return found


def probabilities(candidates: dict[int, set[int]], low: int, high: int, decay: float) -> dict[int, float]:
    weights = {tau: math.exp(-decay * (tau - low) / max(1, high - low)) for tau in candidates}
    total = sum(weights.values())
    return {row: weights[tau] / total / len(rows) for tau, rows in candidates.items() for row in rows}


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Shuffled tables with gaps, divisions, and mothers that outlive their daughters' birth."""
    rows: list[dict[str, Any]] = []
    for experiment, well, fov in draw(
        st.lists(
            st.tuples(st.sampled_from("ab"), st.sampled_from(["A/1", "A/2"]), st.sampled_from("01")),
            min_size=1,
            max_size=3,
            unique=True,
        )
    ):
        parents: dict[int, int] = {}
        for track in range(draw(st.integers(1, 6))):
            parents[track] = draw(st.sampled_from([-1, *parents]))
            for t in draw(st.sets(st.integers(track // 2, track // 2 + 5), min_size=1, max_size=5)):
                rows.append(  # noqa: PERF401
                    {
                        "experiment": experiment,
                        "well": well,
                        "fov": fov,
                        "track_id": track,
                        "parent_track_id": parents[track],
                        "t": t,
                    }
                )
    table = pd.DataFrame(rows).iloc[draw(st.permutations(range(len(rows))))]
    kind = draw(st.sampled_from(["str", "category"]))
    names = dict.fromkeys(("experiment", "well", "fov"), kind)
    table = table.astype(names)
    if kind == "category":
        table["experiment"] = table["experiment"].cat.add_categories(["unused"])
    return table


FRAMES = {"a": (1, 3), "b": (2, 2)}


@settings(deadline=None, max_examples=80)
@given(table=tables(), sisters=st.booleans(), tau_per=st.sampled_from(["anchor", "frame"]))
def test_exactly_the_allowed_rows_are_drawn(
    table: pd.DataFrame, sisters: bool, tau_per: Literal["anchor", "frame"]
) -> None:
    """An anchor that fills a batch goes through its candidates: each once, and no other row."""
    expected = oracle(table, FRAMES, sisters=sisters)
    positives = Positives(table, FRAMES, sisters=sisters, tau_per=tau_per)
    assert positives.has_positive.tolist() == [bool(candidates) for candidates in expected]
    for row, candidates in enumerate(expected):
        allowed = sorted(set().union(*candidates.values()))
        if allowed:
            drawn = positives.draw(np.full(2 * len(allowed), row), epoch=1, number=row)
            assert sorted(drawn[: len(allowed)]) == allowed
            assert sorted(drawn) == sorted(2 * allowed)


@settings(deadline=None, max_examples=30)
@given(table=tables(), data=st.data())
def test_a_subset_of_the_table_is_a_table(table: pd.DataFrame, data: st.DataObject) -> None:
    """Rows left out, categories and index left as they are."""
    keep = data.draw(st.lists(st.integers(0, len(table) - 1), min_size=1, unique=True))
    subset = table.iloc[keep]
    expected = oracle(subset, FRAMES, sisters=False)
    assert Positives(subset, FRAMES).has_positive.tolist() == [bool(c) for c in expected]


def copies(n: int) -> pd.DataFrame:
    """Repeat one small lineage in n fovs: 8 rows each; row 0 is an anchor with several positives."""
    tracks = [(1, -1, 0), (1, -1, 1), (1, -1, 2), (2, 1, 3), (3, 1, 3), (2, 1, 5), (3, 1, 5), (3, 1, 6)]
    track, parent, t = np.array(tracks * n).T
    fov = np.repeat(np.arange(n), len(tracks)).astype(str)
    return pd.DataFrame(
        {"experiment": "a", "fov": fov, "track_id": track, "parent_track_id": parent, "t": t}
    ).assign(well="")


def chi_square_is_small(drawn: list[int], expected: dict[int, float]) -> bool:
    counts = Counter(drawn)
    n = len(drawn)
    value = sum((counts[row] - n * p) ** 2 / (n * p) for row, p in expected.items())
    freedom = len(expected) - 1
    return set(counts) <= set(expected) and value < freedom + 4 * math.sqrt(2 * freedom)


@pytest.mark.parametrize("tau_per", ["anchor", "frame"])
@pytest.mark.parametrize(("low", "high"), [(1, 6), (2, 3), (3, 3), (5, 9)])
@pytest.mark.parametrize("decay", [0.0, 2.0])
def test_frequencies_are_the_weights(
    tau_per: Literal["anchor", "frame"], low: int, high: int, decay: float
) -> None:
    """4 x 1000 anchors alike: once over the places of a batch, once over batches."""
    table = copies(1000)
    frames = {"a": (low, high)}
    expected = probabilities(oracle(table[:8], frames, sisters=False)[0], low, high, decay)
    positives = Positives(table, frames, decay=decay, seed=3, tau_per=tau_per)
    anchors = np.arange(0, 8000, 8)
    drawn = [positives.draw(anchors, epoch=2, number=k) - anchors for k in range(4)]
    assert chi_square_is_small(np.concatenate(drawn).tolist(), expected)
    alone = [int(positives.draw(anchors[:1], epoch=2, number=k)[0]) for k in range(300)]
    assert chi_square_is_small(alone, expected)


def test_a_strong_decay_takes_the_nearest_and_still_has_all() -> None:
    positives = Positives(copies(1), {"a": (1, 6)}, decay=1e6)
    drawn = positives.draw(np.zeros(7, dtype=np.int64), epoch=0, number=0)
    assert drawn[0] == 1
    assert sorted(drawn) == [1, 2, 3, 4, 5, 6, 7]


def test_the_anchors_of_a_frame_share_their_tau() -> None:
    """Two tracks with the same taus, a third that lacks some, in many frames."""
    t = np.arange(40)
    table = pd.DataFrame(
        {
            "experiment": "a",
            "fov": "A/1/0",
            "track_id": np.repeat([1, 2, 3], [40, 40, 20]),
            "parent_track_id": -1,
            "t": np.concatenate([t, t, t[::2]]),
        }
    )
    positives = Positives(table, {"a": (1, 4)}, decay=0.5, tau_per="frame")
    first, seconds = np.arange(0, 36, 2), np.arange(40, 76, 2)
    thirds = np.arange(80, 98)
    rows = np.concatenate([first, seconds, thirds])
    tau = {}
    frame = table["t"].to_numpy()
    for number in range(20):
        drawn = positives.draw(rows, epoch=0, number=number)
        taus = (frame[drawn] - frame[rows]).reshape(3, -1)
        np.testing.assert_array_equal(taus[0], taus[1])
        even = taus[0] % 2 == 0
        np.testing.assert_array_equal(taus[2][even], taus[0][even])
        tau[number] = taus[0].tolist()
    assert len({tuple(taus) for taus in tau.values()}) == 20
    assert any(len(set(taus)) > 1 for taus in tau.values())


@pytest.mark.parametrize("tau_per", ["anchor", "frame"])
def test_the_draw_is_a_function_of_its_key(tau_per: Literal["anchor", "frame"]) -> None:
    table = copies(200)
    rows = np.arange(0, 1600, 8)

    def draw(seed: int = 0, epoch: int = 0, number: int = 0) -> list[int]:
        fresh = Positives(table, {"a": (1, 6)}, seed=seed, tau_per=tau_per)
        fresh.draw(rows[::-1], epoch=7, number=7)
        return [int(row) for row in fresh.draw(rows, epoch=epoch, number=number)]

    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)]
    drawn = [draw(*key) for key in keys]
    assert len({tuple(one) for one in drawn}) == len(keys)
    assert [draw(*key) for key in keys] == drawn


@pytest.mark.parametrize("tau_per", ["anchor", "frame"])
def test_a_part_of_a_batch_draws_as_the_whole(tau_per: Literal["anchor", "frame"]) -> None:
    positives = Positives(copies(50), {"a": (1, 6)}, tau_per=tau_per)
    rows = np.arange(0, 400, 8)
    whole = positives.draw(rows, epoch=3, number=5)
    places = np.array([41, 3, 17, 0])
    np.testing.assert_array_equal(
        positives.draw(rows[places], epoch=3, number=5, places=places), whole[places]
    )


def test_wells_that_share_fov_names_stay_apart() -> None:
    table = pd.DataFrame(
        {
            "experiment": "a",
            "well": ["A/1", "A/2"],
            "fov": "0",
            "track_id": 1,
            "parent_track_id": -1,
            "t": [0, 1],
        }
    )
    assert not Positives(table, {"a": (1, 1)}).has_positive.any()


def test_an_empty_batch_and_an_empty_table() -> None:
    assert len(Positives(copies(1), {"a": (1, 1)}).draw(np.array([], dtype=np.int64), epoch=0, number=0)) == 0
    assert len(Positives(copies(1)[:0], {}).has_positive) == 0


def test_the_table_is_left_alone() -> None:
    table = copies(3)
    before = table.copy()
    positives = Positives(table, {"a": (1, 3)})
    rows = np.array([0, 0, 8])
    positives.draw(rows, epoch=0, number=0)
    pd.testing.assert_frame_equal(table, before)
    assert rows.tolist() == [0, 0, 8]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"frames": {"b": (1, 2)}}, "no tau range for the experiments a"),
        ({"frames": {"a": (0, 2)}}, r"1 <= tau_min <= tau_max; got a: \(0, 2\)"),
        ({"frames": {"a": (3, 2)}}, "got a"),
        ({"decay": -1.0}, r"decay=-1\.0"),
        ({"decay": math.nan}, "decay=nan"),
        ({"tau_per": "batch"}, "tau_per='batch'"),
        ({"anchors": copies(1).drop(columns=["t", "fov"])}, "need the columns fov, t"),
        ({"anchors": copies(1).assign(fov=None)}, "fov: 8 missing values, the first in row 0"),
    ],
)
def test_bad_input_is_refused(options: dict[str, Any], match: str) -> None:
    given_options: dict[str, Any] = {"anchors": copies(1), "frames": {"a": (1, 2)}} | options
    with pytest.raises(InvalidInputError, match=match):
        Positives(**given_options)


@pytest.mark.parametrize(("row", "match"), [(-1, "rows=-1"), (8, "rows=8"), (7, "rows=7 has no positive")])
def test_rows_without_a_positive_are_refused(row: int, match: str) -> None:
    positives = Positives(copies(1), {"a": (1, 2)})
    with pytest.raises(InvalidInputError, match=match):
        positives.draw(np.array([0, row]), epoch=0, number=0)


@pytest.mark.skipif(not TABLE.exists(), reason=f"the real table is not here: {TABLE}")
def test_in_real_lineages_only_last_frames_lack_a_positive() -> None:
    """Every child starts one frame after its parent ends: with tau 1 only leaves end without one."""
    table = pd.read_csv(TABLE).assign(fov="0")
    frames = dict.fromkeys(table["experiment"].unique(), (1, 1))
    positives = Positives(table, frames)
    last = table.groupby(["experiment", "track_id"])["t"].transform("max") == table["t"]
    divides = table.set_index(["experiment", "track_id"]).index.isin(
        table.set_index(["experiment", "parent_track_id"]).index
    )
    np.testing.assert_array_equal(positives.has_positive, ~last.to_numpy() | divides)
    rows = np.flatnonzero(positives.has_positive & last.to_numpy())
    drawn = table.iloc[positives.draw(rows, epoch=0, number=0)]
    assert (drawn["parent_track_id"].to_numpy() == table["track_id"].to_numpy()[rows]).all()
    assert len(rows) == 4585
