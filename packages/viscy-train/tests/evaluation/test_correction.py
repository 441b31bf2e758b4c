from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from viscy_data.errors import InvalidInputError
from viscy_train.evaluation import Controls, correct_by_controls

MOCK = Controls("condition", "mock")


def cells(seed: int, rows: int = 120) -> tuple[NDArray[np.float64], pd.DataFrame]:
    """Return cells of three experiments, each moved and stretched, and their table."""
    rng = np.random.default_rng(seed)
    experiment = rng.permutation(np.arange(rows) % 3)
    obs = pd.DataFrame(
        {
            "experiment": np.array(["a", "b", "c"])[experiment],
            "condition": np.where(np.arange(rows) // 3 % 2, "mock", "drug"),
            "hours_post_infection": rng.uniform(0, 8, rows),
        }
    )
    obs.loc[np.arange(45), ["experiment", "condition"]] = [[one, "mock"] for one in "abc" for _ in range(15)]
    codes = pd.factorize(obs["experiment"], sort=True)[0]
    moved = rng.normal(size=(3, 4)) * 9
    stretched = rng.uniform(0.1, 9, size=(3, 4))
    return rng.normal(size=(rows, 4)) * stretched[codes] + moved[codes], obs


@given(st.integers(0, 99))
def test_scaling_equals_a_loop_over_experiments_and_features(seed: int) -> None:
    embedding, obs = cells(seed)
    corrected = correct_by_controls(embedding, obs, MOCK)
    for row in range(0, 120, 7):
        own = (obs["experiment"] == obs["experiment"][row]) & (obs["condition"] == "mock")
        for feature in range(4):
            values = embedding[own, feature]
            expected = (embedding[row, feature] - values.mean()) / values.std()
            assert corrected[row, feature] == pytest.approx(expected)


@settings(max_examples=20)
@given(st.integers(0, 99), st.sampled_from(["scale", "whiten"]), st.floats(0.1, 50), st.floats(-9, 9))
def test_an_instrument_that_moves_and_scales_is_taken_out(
    seed: int, method: str, scale: float, offset: float
) -> None:
    embedding, obs = cells(seed)
    other = (obs["experiment"] == "b").to_numpy()[:, None]
    before = correct_by_controls(embedding, obs, MOCK, method=method)  # type: ignore[arg-type]
    moved = np.where(other, scale * embedding + offset, embedding)
    after = correct_by_controls(moved, obs, MOCK, method=method)  # type: ignore[arg-type]
    np.testing.assert_allclose(after, before, rtol=1e-6, atol=1e-6)


def test_whitened_controls_of_many_cells_are_uncorrelated() -> None:
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"experiment": "a", "condition": ["mock", "drug"] * 2000})
    embedding = rng.normal(size=(4000, 5)) @ rng.normal(size=(5, 5)) + 3
    white = correct_by_controls(embedding, obs, MOCK, method="whiten")[::2]
    np.testing.assert_allclose(np.cov(white.T), np.eye(5), atol=0.1)


def test_whitening_takes_fewer_controls_than_features() -> None:
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"experiment": "a", "condition": ["mock", "drug"] * 20})
    white = correct_by_controls(rng.normal(size=(40, 64)), obs, MOCK, method="whiten")
    assert np.abs(white).max() < 10


def test_bins_of_hours_are_corrected_on_their_own() -> None:
    embedding, obs = cells(1, 600)
    hours = obs["hours_post_infection"].to_numpy()
    drift = embedding + 5 * np.floor(hours / 4)[:, None]
    np.testing.assert_allclose(
        correct_by_controls(drift, obs, MOCK, hours=4), correct_by_controls(embedding, obs, MOCK, hours=4)
    )


def test_markers_are_corrected_on_their_own() -> None:
    embedding, obs = cells(2, 600)
    marker = np.random.default_rng(0).integers(0, 2, 600)
    shown = obs.assign(marker=np.array(["ER", "phase"])[marker])
    apart = embedding + 40 * marker[:, None]
    np.testing.assert_allclose(
        correct_by_controls(apart, shown, MOCK), correct_by_controls(embedding, shown, MOCK)
    )


def test_constant_features_and_rows_that_are_not_finite_stay_harmless() -> None:
    embedding, obs = cells(3)
    embedding[:, 0] = 7.1
    embedding[:, 1] = np.where(obs["condition"] == "mock", 0.3, embedding[:, 1])
    embedding[5] = np.nan
    kept = embedding.copy()
    corrected = correct_by_controls(embedding, obs, MOCK)
    assert np.array_equal(embedding, kept, equal_nan=True)
    assert np.isnan(corrected[5]).all()
    finite = np.delete(corrected, 5, axis=0)
    assert np.abs(finite[:, 0]).max() < 1e-6
    assert np.abs(finite).max() < 50


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (
            {"controls": Controls("conditoin", "mock")},
            "not a column.*Did you mean 'condition'",
        ),
        ({"controls": Controls("condition", "mok")}, "no cell has this value; condition holds drug, mock"),
        ({"method": "centre"}, "method='centre': allowed is scale or whiten"),
        ({"hours": 0.0}, "hours=0.0: width of a time bin"),
        ({"hours": 0.1}, r"experiment ., from [0-9.]* h, bins of 0.1 h, has \d such cells"),
    ],
)
def test_what_cannot_be_corrected_is_refused(options: dict[str, object], match: str) -> None:
    embedding, obs = cells(0)
    with pytest.raises(InvalidInputError, match=match):
        correct_by_controls(embedding, obs, **({"controls": MOCK} | options))  # type: ignore[arg-type]


def test_an_experiment_without_controls_is_named() -> None:
    embedding, obs = cells(0)
    obs["condition"] = obs["condition"].mask(obs["experiment"] == "b", "drug")
    with pytest.raises(InvalidInputError, match="controls='condition=mock': experiment b has 0 such cells"):
        correct_by_controls(embedding, obs, MOCK)


@pytest.mark.parametrize("text", ["condition", "=mock", "condition= "])
def test_controls_are_a_column_and_a_value(text: str) -> None:
    with pytest.raises(InvalidInputError, match=f"controls='{text}'"):
        Controls.parse(text)


@pytest.mark.parametrize(
    ("held", "value"),
    [
        (pd.Series([0.0, 5.0, None]), "0"),
        (pd.Series([True, False, None], dtype=object), "True"),
        (pd.Series(pd.Categorical(["x", "y", None])), "x"),
    ],
)
def test_values_are_compared_as_people_write_them(held: "pd.Series[float]", value: str) -> None:
    assert Controls("one", value).rows(held.to_frame("one")).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("held", "value", "rows"),
    [
        (np.array([20241107123, 20241107124, 3]), "20241107124", [1]),
        (np.array([20241107123, 20241107124, 3]), "20241107120", []),
        (np.array([0.1, 10, np.nan], dtype=np.float32), "0.1", [0]),
        (np.array([0.1, 10, np.nan], dtype=np.float32), "1e1", [1]),
        (np.array([0.1, 10, np.nan]), "10", [1]),
        (pd.array([2**53 + 1, None, 2**53], dtype="Int64"), str(2**53 + 1), [0]),
        (pd.array([0.5, None, 2.0], dtype="Float32"), "0.50", [0]),
        (np.array([1, 2, 3]), "1.5", []),
        (np.array([1, 2, 3]), "one", []),
        (np.array([True, False, True]), "True", [0, 2]),
        (pd.Categorical(["Kontrolle = 'a'", None, "b"]), "Kontrolle = 'a'", [0]),
    ],
)
def test_controls_are_compared_in_the_type_of_their_column(held: Any, value: str, rows: list[int]) -> None:
    obs = pd.DataFrame({"plate": held})
    if rows:
        assert np.flatnonzero(Controls("plate", value).rows(obs)).tolist() == rows
    else:
        with pytest.raises(InvalidInputError, match="no cell has this value; plate holds"):
            Controls("plate", value).rows(obs)


def test_cells_of_no_experiment_are_refused() -> None:
    obs = pd.DataFrame({"experiment": ["a"] * 20 + [None] * 2, "condition": "mock"})
    with pytest.raises(InvalidInputError, match=r"obs\['experiment'\]: 2 of 22 rows have no value"):
        correct_by_controls(np.zeros((22, 3)), obs, Controls("condition", "mock"))
