import numpy as np
import pytest
from few_shuffles import Few
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from viscy_train.evaluation.collapse import collapse, effective_rank
from viscy_train.evaluation.differences import difference
from viscy_train.evaluation.metric import Metric, NotAvailable

FEW = Few()


@given(st.integers(0, 999), st.integers(1, 6), st.integers(2, 30))
def test_rank_equals_the_formula_on_singular_values(seed: int, features: int, rows: int) -> None:
    embedding = np.random.default_rng(seed).normal(size=(rows, features))
    singular = np.linalg.svd(embedding - embedding.mean(axis=0), compute_uv=False)
    share = singular[singular > 1e-9] / singular.sum()
    assert effective_rank(embedding) == pytest.approx(np.exp(-(share * np.log(share)).sum()), rel=1e-4)


@given(st.integers(0, 999), st.floats(0.01, 100), st.floats(-5, 5))
def test_rotation_scale_and_offset_do_not_matter(seed: int, scale: float, offset: float) -> None:
    rng = np.random.default_rng(seed)
    embedding = rng.normal(size=(40, 4)) * np.array([5.0, 1.0, 0.5, 0.1])
    rotation = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    assert effective_rank(scale * embedding @ rotation + offset) == pytest.approx(
        effective_rank(embedding), rel=1e-4
    )


def test_known_answers() -> None:
    rng = np.random.default_rng(0)
    line = rng.normal(size=(50, 1)) @ rng.normal(size=(1, 8))
    assert effective_rank(line) == pytest.approx(1, abs=1e-3)
    assert effective_rank(rng.normal(size=(5000, 8))) == pytest.approx(8, rel=0.01)
    assert effective_rank(np.full((9, 3), 0.1)) == 0


def test_a_collapse_shows_against_shuffled_features() -> None:
    rng = np.random.default_rng(0)
    line = rng.normal(size=(200, 1)) @ np.ones((1, 6)) + 0.01 * rng.normal(size=(200, 6))
    outcome = collapse(line, np.arange(200) // 4, resampling=FEW)
    assert isinstance(outcome, Metric)
    assert outcome.low <= outcome.value <= outcome.high
    assert outcome.value < 1.3
    assert outcome.shuffled == pytest.approx(6, rel=0.05)


def test_a_single_cell_says_why() -> None:
    outcome = collapse(np.ones((1, 3)), np.zeros(1), resampling=FEW)
    assert isinstance(outcome, NotAvailable)
    assert "single cell" in outcome.reason


def test_a_difference_of_ranks_is_that_of_ranks_without_each_lineage() -> None:
    rng = np.random.default_rng(5)
    lineage = np.repeat(np.arange(12), 5)
    wide = rng.normal(size=(60, 4))
    flat = wide * np.array([1.0, 1.0, 0.7, 0.5])
    first, second = (collapse(one, lineage, resampling=FEW) for one in (wide, flat))
    found = difference(first, second, ("wide", "flat"))
    assert found is not None
    kept = [lineage != one for one in range(12)]
    gaps = np.array([effective_rank(wide[rows]) - effective_rank(flat[rows]) for rows in kept])
    gap = effective_rank(wide) - effective_rank(flat)
    assert found.value == pytest.approx(gap)
    # one more lineage that sees no difference
    terms = np.array([np.square(gaps - gaps.mean()).sum() * 11 / 12, (gap / 13) ** 2])
    freedom = terms.sum() ** 2 / (terms**2 / 11).sum()
    assert found.high - gap == pytest.approx(student.ppf(0.975, freedom) * np.sqrt(terms.sum()), rel=1e-4)
    assert found.better == ""  # more is not better
