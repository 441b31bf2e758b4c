import numpy as np
import pytest
from few_shuffles import Few
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_train.evaluation.differences import difference
from viscy_train.evaluation.metric import Metric, NotAvailable
from viscy_train.evaluation.smoothness import random_pairs, smoothness, successive_pairs

FEW = Few()
TRACK, T = np.repeat(np.arange(30), 10), np.tile(np.arange(10), 30)


def steady(seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Tracks that keep their place in the embedding except for a little noise."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(30, 5))[TRACK] + 0.05 * rng.normal(size=(300, 5))


def value(outcome: object) -> float:
    assert isinstance(outcome, Metric)
    return outcome.value


@given(st.integers(0, 999))
def test_pairs_equal_a_loop_in_any_order_and_gaps_give_none(seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = rng.permutation([(track, t) for track in range(4) for t in range(8) if rng.random() < 0.7])
    if not places.size:
        return
    row = {(int(track), int(t)): i for i, (track, t) in enumerate(places)}
    expected = {(i, row[track, t + 1]) for (track, t), i in row.items() if (track, t + 1) in row}
    pairs = successive_pairs(places[:, 0], places[:, 1])
    assert {(int(a), int(b)) for a, b in pairs} == expected


@given(st.integers(0, 999))
def test_random_pairs_are_of_one_experiment_and_two_lineages(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lineage = rng.integers(0, 9, 60)
    experiment = lineage % 3
    first, second = random_pairs(lineage, experiment, np.arange(60), rng).T
    assert (experiment[first] == experiment[second]).all()
    assert (lineage[first] != lineage[second]).all()


def test_steady_tracks_are_smooth_with_range_and_noise_is_neither() -> None:
    smooth, reach = smoothness(steady(0), TRACK, T, TRACK, resampling=FEW)
    assert value(smooth) < 0.05
    assert value(reach) > 0.9
    assert isinstance(smooth, Metric)
    assert smooth.n == 270
    assert smooth.shuffled == pytest.approx(1, abs=0.1)
    noise = np.random.default_rng(0).normal(size=(300, 5))
    rough, flat = smoothness(noise, TRACK, T, TRACK, resampling=FEW)
    assert value(rough) == pytest.approx(1, abs=0.1)
    assert value(flat) == pytest.approx(0, abs=0.1)


def test_keeping_experiments_apart_does_not_make_an_embedding_smooth() -> None:
    noise = np.random.default_rng(1).normal(size=(300, 5))
    experiment = TRACK % 2
    apart = noise + 5.0 * experiment[:, None]
    smooth, _ = smoothness(apart, TRACK, T, TRACK, experiment=experiment, resampling=FEW)
    assert value(smooth) == pytest.approx(1, abs=0.1)


@settings(max_examples=10)
@given(st.integers(0, 999))
def test_rotation_scale_and_offset_do_not_matter(seed: int) -> None:
    embedding = steady(seed)
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(5, 5)))[0]
    before = smoothness(embedding, TRACK, T, TRACK, resampling=FEW)
    after = smoothness(3 * embedding @ rotation - 1, TRACK, T, TRACK, resampling=FEW)
    assert [value(one) for one in after] == pytest.approx([value(one) for one in before])


@pytest.mark.parametrize(
    ("embedding", "track", "t", "reason"),
    [
        (np.ones((300, 2)), TRACK, T, "same embedding"),
        (steady(0), TRACK, 2 * T, "two successive frames"),
        (steady(0), np.zeros(300), np.arange(300), "two lineages"),
    ],
)
def test_what_cannot_be_measured_says_why(
    embedding: np.ndarray,
    track: np.ndarray,
    t: np.ndarray,
    reason: str,
) -> None:
    for outcome in smoothness(embedding, track, t, track, resampling=FEW):
        assert isinstance(outcome, NotAvailable)
        assert reason in outcome.reason


def test_a_difference_is_taken_anew_with_each_lineage_left_out() -> None:
    """All lineages rest on one hard table of steps, of which one embedding makes a little more of each."""
    rng = np.random.default_rng(2)
    places, steps = rng.normal(size=(30, 5))[TRACK], rng.normal(size=(300, 5))
    size = rng.uniform(0.02, 0.6, 30)[TRACK][:, None]
    fine, coarse = (
        smoothness(places + more * size * steps, TRACK, T, TRACK, resampling=FEW)[0] for more in (1.0, 1.15)
    )
    found = difference(fine, coarse, ("fine", "coarse"))
    assert found is not None
    assert found.value == pytest.approx(value(fine) - value(coarse))
    assert found.better == "fine"
    assert isinstance(fine, Metric)
    assert isinstance(coarse, Metric)
    assert fine.high > coarse.low
    assert found.unit == "lineages"
