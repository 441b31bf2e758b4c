"""Balanced accuracy, F1 and AUROC for many replicates at once.

A replicate weighs units (`intervals`). Balanced accuracy and F1 are functions of the weighted
confusion matrix; AUROC of the weighted order of scores, ties counting one half.
"""

import numpy as np

from viscy_train.evaluation.arrays import BoolArray, FloatArray, IntArray, divide

_CELLS_PER_BLOCK = 4_000_000


def unit_confusions(
    truth: IntArray, predicted: IntArray, unit: IntArray, classes: int, count: int
) -> FloatArray:
    """Return each unit's confusion matrix, flattened: (units, classes * classes).

    Examples
    --------
    >>> zero = np.array([0, 0])
    >>> unit_confusions(zero, np.array([0, 1]), zero, classes=2, count=1)
    array([[1., 1., 0., 0.]])
    """
    key = (unit * classes + truth) * classes + predicted
    counts = np.bincount(key, minlength=count * classes * classes)
    return counts.astype(np.float64).reshape(count, classes * classes)


def balanced_accuracy(confusion: FloatArray) -> FloatArray:
    """Mean recall over the classes that occur; confusion (R, K, K), truth first: (R,).

    Examples
    --------
    >>> balanced_accuracy(np.array([[[9.0, 1.0], [0.0, 0.0]]]))
    array([0.9])
    """
    truth = confusion.sum(axis=2)
    right = np.diagonal(confusion, axis1=1, axis2=2)
    return _mean_over_classes(divide(right, truth, fill=0.0), truth > 0)


def f1(confusion: FloatArray) -> FloatArray:
    """Mean F1 = 2 TP / (2 TP + FP + FN) over the classes that occur; (R, K, K) to (R,).

    Examples
    --------
    >>> f1(np.array([[[5.0, 0.0], [0.0, 5.0]]]))
    array([1.])
    """
    right = np.diagonal(confusion, axis1=1, axis2=2)
    either = confusion.sum(axis=1) + confusion.sum(axis=2)
    return _mean_over_classes(divide(2 * right, either, fill=0.0), confusion.sum(axis=2) > 0)


def _mean_over_classes(share: FloatArray, occurs: BoolArray) -> FloatArray:
    return divide((share * occurs).sum(axis=1), occurs.sum(axis=1), fill=np.nan)


def auroc(
    truth: IntArray, scores: FloatArray, fold: IntArray, weights: FloatArray, unit: IntArray
) -> FloatArray:
    """Return the AUROC of each replicate, averaged over folds by their cells: (R,).

    Parameters
    ----------
    truth : ndarray (M,)
        Class codes.
    scores : ndarray (M, K)
    fold, unit : ndarray (M,)
    weights : ndarray (R, L)
        Weight of each unit in each replicate.

    Returns
    -------
    ndarray (R,)
        NaN where no fold holds two classes.
    """
    total, cells = np.zeros(len(weights)), np.zeros(len(weights))
    for value in np.unique(fold):
        rows = np.flatnonzero(fold == value)
        area = _fold_auroc(truth[rows], scores[rows], unit[rows], weights)
        held = weights @ np.bincount(unit[rows], minlength=weights.shape[1])
        known = np.isfinite(area)
        total += np.where(known, held * np.nan_to_num(area), 0.0)
        cells += np.where(known, held, 0.0)
    return divide(total, cells, fill=np.nan)


def _fold_auroc(truth: IntArray, scores: FloatArray, unit: IntArray, weights: FloatArray) -> FloatArray:
    total, known = np.zeros(len(weights)), np.zeros(len(weights))
    classes = range(scores.shape[1]) if scores.shape[1] > 2 else range(1, 2)  # two classes: one curve
    for code in classes:
        area = binary_auroc(truth == code, scores[:, code], unit, weights)
        total += np.nan_to_num(area)
        known += np.isfinite(area)
    return divide(total, known, fill=np.nan)


def binary_auroc(positive: BoolArray, score: FloatArray, unit: IntArray, weights: FloatArray) -> FloatArray:
    """Return P(score of a positive > of a negative) + P(equal) / 2 under each replicate's weights: (R,).

    Examples
    --------
    >>> binary_auroc(np.array([False, True, True]), np.array([0.1, 0.1, 0.9]), np.arange(3), np.ones((1, 3)))
    array([0.75])
    """
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) > 0])
    units, is_positive = unit[order], positive[order]
    areas = np.full(len(weights), np.nan)
    step = max(1, _CELLS_PER_BLOCK // order.size)
    for first in range(0, len(weights), step):
        block = weights[first : first + step, units]
        up = np.add.reduceat(block * is_positive, starts, axis=1)
        down = np.add.reduceat(block * ~is_positive, starts, axis=1)
        below = np.cumsum(down, axis=1) - down / 2
        pairs = up.sum(axis=1) * down.sum(axis=1)
        won = (up * below).sum(axis=1)
        areas[first : first + step] = divide(won, pairs, fill=np.nan)
    return areas
