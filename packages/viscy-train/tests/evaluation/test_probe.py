import numpy as np
import pytest
from few_shuffles import Few
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

from viscy_train.evaluation.folds import unit_folds
from viscy_train.evaluation.intervals import Resampling
from viscy_train.evaluation.metric import Metric, NotAvailable, Outcome
from viscy_train.evaluation.probe import probe

FEW = Few()
LINEAGE = np.arange(240) // 4
EXPERIMENT = np.array(["a", "b", "c"])[LINEAGE % 3]
LABEL = (LINEAGE // 3) % 2


def noise(seed: int, features: int = 4) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.random.default_rng(seed).normal(size=(LABEL.size, features))


def values(outcomes: tuple[Outcome, ...]) -> list[float]:
    assert all(isinstance(outcome, Metric) for outcome in outcomes)
    return [outcome.value for outcome in outcomes if isinstance(outcome, Metric)]


@settings(max_examples=25)
@given(st.integers(0, 999), st.integers(2, 5))
def test_no_lineage_is_on_both_sides_and_each_row_is_tested_once(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    lineage = rng.integers(0, 40, 200)
    codes = lineage % classes
    tested = np.zeros(200, dtype=np.int64)
    for train, test in unit_folds(codes, lineage, seed):
        assert not np.intersect1d(lineage[train], lineage[test]).size
        tested[test] += 1
    assert (tested == 1).all()


@pytest.mark.parametrize("held_out", [None, EXPERIMENT])
def test_a_perfectly_separated_label_is_read_perfectly(held_out: np.ndarray | None) -> None:
    outcomes = probe(noise(0) + 20 * LABEL[:, None], LABEL, LINEAGE, held_out=held_out, resampling=FEW)
    assert values(outcomes) == [1, 1, 1]
    for outcome in outcomes:
        assert isinstance(outcome, Metric)
        assert outcome.low == pytest.approx(1, abs=0.05)
        assert outcome.high == 1
        assert (outcome.n, outcome.units) == (240, 60)
        assert 0.25 < outcome.shuffled < 0.75


@pytest.mark.parametrize("held_out", [None, EXPERIMENT])
def test_noise_reads_like_shuffled_labels(held_out: np.ndarray | None) -> None:
    for outcome in probe(noise(1), LABEL, LINEAGE, held_out=held_out, resampling=FEW):
        assert isinstance(outcome, Metric)
        assert outcome.value == pytest.approx(0.5, abs=0.15)
        assert outcome.low < outcome.value < outcome.high


def test_leaving_an_experiment_out_equals_a_loop_over_experiments() -> None:
    embedding = noise(2) + LABEL[:, None] * np.array([1.0, 0, 0, 0])
    predicted, areas = np.zeros_like(LABEL), []
    for value in "abc":
        train, test = value != EXPERIMENT, value == EXPERIMENT
        scaler = StandardScaler().fit(embedding[train])
        model = LogisticRegression(class_weight="balanced", max_iter=1000)
        model.fit(scaler.transform(embedding[train]), LABEL[train])
        predicted[test] = model.predict(scaler.transform(embedding[test]))
        areas.append(roc_auc_score(LABEL[test], model.decision_function(scaler.transform(embedding[test]))))
    expected = [
        balanced_accuracy_score(LABEL, predicted),
        np.mean(areas),
        f1_score(LABEL, predicted, average="macro"),
    ]
    assert values(probe(embedding, LABEL, LINEAGE, held_out=EXPERIMENT, resampling=FEW)) == pytest.approx(
        expected
    )


def test_a_reading_that_turns_round_in_the_other_experiment_fails_there() -> None:
    experiment = LINEAGE % 2
    label = (LINEAGE // 2) % 2
    embedding = 5.0 * ((2 * label - 1) * (2 * experiment - 1))[:, None] + noise(3, 1)
    assert values(probe(embedding, label, LINEAGE, held_out=experiment, resampling=FEW))[0] < 0.05


@settings(max_examples=8)
@given(st.permutations(range(240)), st.floats(0.1, 50), st.floats(-9, 9))
def test_order_scale_and_offset_of_the_embedding_do_not_matter(
    order: list[int], scale: float, offset: float
) -> None:
    embedding = noise(4) + LABEL[:, None] * 0.5
    before = values(probe(embedding, LABEL, LINEAGE, held_out=EXPERIMENT, resampling=FEW))
    moved = (scale * embedding + offset)[order]
    after = values(probe(moved, LABEL[order], LINEAGE[order], held_out=EXPERIMENT[order], resampling=FEW))
    assert after == pytest.approx(before, abs=0.01)


@pytest.mark.parametrize(
    ("label", "lineage", "held_out", "reason"),
    [
        (np.zeros(240), LINEAGE, None, "one label"),
        (LABEL, LINEAGE, np.zeros(240), "one group"),
        (LABEL, LABEL, None, "held by one unit only"),
        (LABEL, LINEAGE, LABEL, "too few units"),
    ],
)
def test_what_cannot_be_measured_says_why(
    label: np.ndarray,
    lineage: np.ndarray,
    held_out: np.ndarray | None,
    reason: str,
) -> None:
    outcomes = probe(noise(5), label, lineage, held_out=held_out, resampling=FEW)
    assert len(outcomes) == 3
    for outcome in outcomes:
        assert isinstance(outcome, NotAvailable)
        assert reason in outcome.reason


@settings(max_examples=30)
@given(st.integers(0, 99), st.integers(1, 5), st.integers(2, 4))
def test_folds_are_balanced_inside_experiments(seed: int, wells: int, experiments: int) -> None:
    block = np.repeat(np.arange(experiments), 2 * wells)
    code = np.tile(np.repeat([0, 1], wells), experiments)
    rows = np.random.default_rng(seed).permutation(np.repeat(np.arange(code.size), 3))
    tested = np.zeros(rows.size, dtype=np.int64)
    for train, test in unit_folds(code[rows], rows, seed, block[rows]):
        assert not np.intersect1d(rows[train], rows[test]).size
        tested[test] += 1
        for one in range(experiments):
            left = code[rows[train]][block[rows[train]] == one]
            # what remains of an experiment does not say which label is more likely there
            assert (left == 0).sum() == (left == 1).sum()
    assert (tested == 1).all()


def nobody_treated(seed: int, *, held_out: bool, by_well: bool) -> Metric:
    """Read a label that was dealt to wells from wells that differ by themselves, in three experiments."""
    rng = np.random.default_rng(seed)
    well = np.repeat(np.arange(12), 8)
    experiment, label = well // 4, well % 2
    own = rng.normal(size=(12, 3))[well] + 3 * rng.normal(size=(3, 3))[experiment]
    outcome = probe(
        own + rng.normal(size=own.shape),
        label,
        well if by_well else np.arange(well.size),
        held_out=experiment if held_out else None,
        blocks=experiment,
        resampling=Few(seed=seed),
    )[1]
    assert isinstance(outcome, Metric)
    return outcome


@pytest.mark.parametrize("held_out", [True, False])
def test_with_nobody_treated_the_interval_includes_guessing_as_often_as_it_says(held_out: bool) -> None:
    found = [nobody_treated(seed, held_out=held_out, by_well=True) for seed in range(24)]
    # binomial(24, 0.95) is below 19 once in 10^3; intervals of twelve wells are only nearly exact
    assert sum(one.low <= 0.5 <= one.high for one in found) >= 19
    assert np.mean([one.value for one in found]) == pytest.approx(0.5, abs=0.1)


def test_cells_taken_for_independent_find_an_effect_where_nobody_was_treated() -> None:
    found = [nobody_treated(seed, held_out=True, by_well=False) for seed in range(12)]
    assert sum(one.low <= 0.5 <= one.high for one in found) <= 8


@pytest.mark.parametrize("seed", range(3))
def test_of_few_wells_the_true_labels_are_often_dealt_again(seed: int) -> None:
    # two plates of two wells: four dealings, of which two part the wells as the true labels do
    rng = np.random.default_rng(seed)
    well = np.repeat(
        np.arange(4), 200
    )  # more cells than shuffled probes are fitted to, so that these are fewer
    label, plate = well % 2, well // 2
    embedding = rng.normal(size=(800, 3)) + 2.0 * label[:, None]
    few = Resampling(shuffled_cells=100)
    for outcome in probe(embedding, label, well, held_out=plate, resampling=few):
        assert isinstance(outcome, Metric)
        assert outcome.p is not None
        assert outcome.p > 0.2
        assert not outcome.tells
