import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from viscy_train.evaluation.scores import auroc, balanced_accuracy, binary_auroc, f1, unit_confusions


@settings(max_examples=30)
@given(st.integers(0, 999), st.integers(2, 4))
def test_accuracy_and_f1_equal_the_library_on_repeated_rows(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.r_[np.arange(classes), rng.integers(0, classes, 30)]
    predicted = np.where(rng.random(truth.size) < 0.6, truth, rng.integers(0, classes, truth.size))
    lineage = rng.integers(0, 6, truth.size)
    weights = 1 + rng.integers(0, 3, (3, 6)).astype(np.float64)
    confusion = (weights @ unit_confusions(truth, predicted, lineage, classes, 6)).reshape(3, classes, -1)
    for replicate in range(3):
        rows = np.repeat(np.arange(truth.size), weights[replicate, lineage].astype(int))
        expected = balanced_accuracy_score(truth[rows], predicted[rows])
        assert balanced_accuracy(confusion)[replicate] == pytest.approx(expected)
        expected = f1_score(truth[rows], predicted[rows], average="macro")
        assert f1(confusion)[replicate] == pytest.approx(expected)


@settings(max_examples=30)
@given(st.integers(0, 999))
def test_auroc_equals_the_library_on_repeated_rows_ties_included(seed: int) -> None:
    rng = np.random.default_rng(seed)
    positive = np.r_[False, True, rng.random(40) < 0.4]
    score = rng.integers(0, 8, positive.size) / 8
    lineage = rng.integers(0, 9, positive.size)
    weights = 1 + rng.integers(0, 3, (4, 9)).astype(np.float64)
    expected = [roc_auc_score(positive, score, sample_weight=row[lineage]) for row in weights]
    assert binary_auroc(positive, score, lineage, weights) == pytest.approx(expected)


def test_auroc_of_several_classes_is_the_mean_of_one_against_the_rest() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 60)
    scores = rng.dirichlet(np.ones(3), 60)
    area = auroc(truth, scores, np.zeros(60, dtype=np.int64), np.ones((1, 60)), np.arange(60))
    assert area == pytest.approx([roc_auc_score(truth, scores, multi_class="ovr")])


def test_folds_are_averaged_by_their_cells_and_a_fold_of_one_class_is_left_out() -> None:
    truth = np.array([0, 1, 0, 1, 1, 0, 0, 0])
    score = np.array([0.1, 0.9, 0.9, 0.1, 0.05, 0.2, 0.3, 0.4])
    fold = np.array([0, 0, 1, 1, 1, 2, 2, 2])
    area = auroc(truth, np.stack([1 - score, score], axis=1), fold, np.ones((1, 8)), np.arange(8))
    assert area == pytest.approx([(2 * 1.0 + 3 * 0.0) / 5])


def test_auroc_without_two_classes_anywhere_has_no_value() -> None:
    area = auroc(
        np.zeros(3, dtype=np.int64),
        np.ones((3, 2)),
        np.zeros(3, dtype=np.int64),
        np.ones((1, 3)),
        np.arange(3),
    )
    assert np.isnan(area).all()
