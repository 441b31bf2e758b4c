import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viscy_data.errors import InvalidInputError
from viscy_train.evaluation.bootstrap import Resampling, ratio


@pytest.mark.parametrize("options", [{"replicates": 3}, {"shuffles": 0}, {"level": 1.0}])
def test_options_outside_their_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(options))):
        Resampling(**options)  # type: ignore[arg-type]  # one field at a time, of its own type


def test_a_replicate_draws_as_many_lineages_as_there_are() -> None:
    weights = Resampling(replicates=50).weights(7)
    assert weights.shape == (50, 7)
    assert (weights.sum(axis=1) == 7).all()


@given(st.integers(2, 40), st.integers(0, 9))
def test_ratio_equals_a_loop_over_replicates(rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    above, below = rng.random(rows), 1 + rng.random(rows)
    lineage = np.unique(rng.integers(0, 8, rows), return_inverse=True)[1]
    resampling = Resampling(replicates=20, seed=seed)
    slow = []
    for weights in resampling.weights(int(lineage.max()) + 1):
        drawn = [row for row in range(rows) for _ in range(int(weights[lineage[row]]))]
        slow.append(above[drawn].sum() / below[drawn].sum())
    low, high = np.quantile(slow, [0.025, 0.975])
    assert ratio(above, below, lineage, resampling) == pytest.approx((above.sum() / below.sum(), low, high))


def test_the_interval_covers_the_mean_of_independent_lineages() -> None:
    rng = np.random.default_rng(1)
    lineage = np.repeat(np.arange(40), 5)
    covered = 0
    for _ in range(100):
        values = rng.normal(size=40)[lineage]
        _, low, high = ratio(values, np.ones(200), lineage, Resampling(replicates=200))
        covered += low <= 0 <= high
    # binomial(100, 0.95) is below 85 once in 10^4; cells in place of lineages would cover some 60
    assert covered >= 85
