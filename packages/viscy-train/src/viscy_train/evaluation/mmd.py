"""Maximum mean discrepancy (MMD): how far apart two groups of cells lie, and whether chance explains it.

Problem: a probe says whether single cells can be told apart; it says little of groups whose clouds overlap
and still differ as a whole. And a p-value that shuffles cells is wrong where wells were treated: cells of one
well share a place on the plate, a pipette and a moment of imaging, so two wells of the *same* treatment
differ "significantly" once there are enough cells.

Idea: the squared MMD with a Gaussian kernel k(x, y) = exp(-|x - y|^2 / (2 s^2)) is 0 where two distributions
are the same and above 0 where they are not (Gretton et al. 2012, JMLR 13:723, equation 3: the unbiased
estimate, which may fall a little below 0). It is the squared length of the difference of two means, those of
the cells' kernel functions. s is the median distance of two cells of one experiment. The p-value permutes
*units*, what was treated as one: a well, a dish. Each unit keeps its cells, and units change sides inside
their experiment only.

Over all experiments each one that holds both groups is centred on the mean of its cells, and the difference
is taken inside it; differences are averaged, and the length is that of the average. What moves the same way
in all experiments adds up, so one treated well in each of six is enough, where none says anything alone.

Consequence: few units give coarse p-values. Two wells on each side can be divided in six ways, of which each
has a mirror image of the same value: no p is below 1/3, and `Discrepancy.least_p` says so.

Cost: one kernel of at most `max_cells` squared for each pair and experiment (32 MB for 2,000 cells); after
it a permutation costs the square of the number of units. More cells are thinned, evenly over units.
"""

from dataclasses import dataclass, replace
from itertools import combinations, product
from math import comb, prod
from typing import Any

import numpy as np

from viscy_data import InvalidInputError
from viscy_train.evaluation.arrays import (
    BoolArray,
    EmbeddingArray,
    FloatArray,
    IntArray,
    LabelArray,
    as_codes,
    as_embedding,
)

_ROUNDING = 1e-12
"""Values nearer to each other than this count as equal: a division and its mirror image are."""


@dataclass(frozen=True)
class Discrepancy:
    """How far apart two groups lie: a number with its p-value, or the reason why there is none.

    Attributes
    ----------
    first, second : str
        The two values of the label.
    experiment : str
        Where; empty over all experiments that hold both.
    value : float or None
        Squared MMD, unbiased; None where `reason` says why.
    p : float or None
        Share of permutations of units that give as large a value, the one that was observed among them.
    least_p : float or None
        The smallest p that so many units, and so many permutations, can give.
    cells, units : tuple of int
        Of the first and of the second group, before thinning.
    reason : str
        Why there is no number.
    """

    first: str
    second: str
    experiment: str
    value: float | None
    p: float | None
    least_p: float | None
    cells: tuple[int, int]
    units: tuple[int, int]
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "groups": [self.first, self.second],
            "experiment": self.experiment,
            "squared_mmd": self.value,
            "p": self.p,
            "least_p": self.least_p,
            "cells": list(self.cells),
            "units": list(self.units),
            **({"reason": self.reason} if self.reason else {}),
        }


@dataclass(frozen=True)
class _Groups:
    """Cells of two groups: embedding (N, D); of which group, unit and experiment each is."""

    embedding: FloatArray
    second: BoolArray
    unit: IntArray
    experiment: IntArray

    def take(self, rows: IntArray | BoolArray) -> "_Groups":
        return _Groups(self.embedding[rows], self.second[rows], self.unit[rows], self.experiment[rows])

    def count(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Count cells and units of both groups."""
        units = [int(np.unique(self.unit[self.second == side]).size) for side in (False, True)]
        cells = int(self.second.sum())
        return (self.second.size - cells, cells), (units[0], units[1])


def mmd(
    embedding: EmbeddingArray,
    label: LabelArray,
    unit: LabelArray,
    *,
    experiment: LabelArray | None = None,
    max_cells: int = 2_000,
    permutations: int = 999,
    seed: int = 0,
) -> tuple[Discrepancy, ...]:
    """Measure the discrepancy of each pair of values of a label, over all experiments and in each.

    Parameters
    ----------
    embedding : ndarray (N, D)
    label, unit : ndarray (N,)
        The groups, such as conditions, and what was treated as one, such as wells: names or codes.
    experiment : ndarray (N,), optional
        Units are permuted inside these; without it all cells are of one experiment.
    max_cells : int
        Cells of two groups that are compared at once.
    permutations : int
        How many are drawn where there are more; where there are fewer, each is taken once.
    seed : int
        Of the cells and the permutations drawn.

    Returns
    -------
    tuple of Discrepancy
        Pair by pair; over all experiments first, where there are several.

    Raises
    ------
    InvalidInputError
        If shapes disagree, the embedding is not finite, a unit has two labels or lies in two experiments,
        or fewer than 10 cells or permutations are asked for.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> well, drug = np.repeat(np.arange(8), 20), np.repeat(["none", "nocodazole"], 80)
    >>> moved = rng.normal(size=(160, 3)) + 3 * (drug == "none")[:, None]
    >>> found = mmd(moved, drug, well)[0]
    >>> found.units, round(found.p, 3), found.value > 0.3  # 2 of the 70 ways to divide 8 wells
    ((4, 4), 0.029, True)
    """
    for name, value in (("max_cells", max_cells), ("permutations", permutations)):
        if value < 10:
            raise InvalidInputError(f"{name}={value} is below 10; leave it out to take the usual number")
    array = as_embedding(embedding)
    codes, units = as_codes("label", label, len(array)), as_codes("unit", unit, len(array))
    given = np.zeros(len(array)) if experiment is None else np.asarray(experiment)
    places = as_codes("experiment", given, len(array))
    names, experiments = np.unique(label), np.unique(given)
    _check_nested(unit, units, codes, "label")
    _check_nested(unit, units, places, "experiment")
    found: list[Discrepancy] = []
    for one, other in combinations(range(names.size), 2):
        cells = _Groups(array, codes == other, units, places).take((codes == one) | (codes == other))
        both = [at for at in np.unique(places) if np.unique(cells.second[cells.experiment == at]).size == 2]
        parts = {str(experiments[at]): cells.take(cells.experiment == at) for at in both}
        if experiments.size > 1:
            shared = cells.take(np.isin(cells.experiment, both))
            parts = {"": shared if both else cells, **parts}
        elif experiment is None:
            parts = {"": cells}
        for place, part in parts.items():
            rng = np.random.default_rng([seed, one, other])
            measured = _measure(part, max_cells, permutations, rng)
            counts = part.count()
            pair = (str(names[one]), str(names[other]))
            found.append(Discrepancy(*pair, place, *measured[:3], *counts, measured[3]))
    return tuple(found)


def _check_nested(unit: LabelArray, units: IntArray, codes: IntArray, what: str) -> None:
    """Refuse a unit of two labels, or in two experiments."""
    _, first = np.unique(units, return_index=True)
    wrong = np.flatnonzero(codes[first][units] != codes)
    if wrong.size:
        name = np.asarray(unit)[wrong[0]]
        raise InvalidInputError(
            f"unit={name!s}: its cells have more than one {what}, so it was not treated as one; give units "
            f"whose cells share their {what}, such as (experiment, well)"
        )


def _measure(
    cells: _Groups, max_cells: int, permutations: int, rng: np.random.Generator
) -> tuple[float | None, float | None, float | None, str]:
    """Return squared MMD, p, the smallest p that there can be, and why there is no number."""
    if any(np.unique(cells.second[cells.experiment == at]).size < 2 for at in np.unique(cells.experiment)):
        return None, None, None, "no experiment holds both groups: it would compare experiments"
    units = cells.count()[1]
    if min(units) < 2:
        return (
            None,
            None,
            None,
            f"{units[0]} and {units[1]} units: nothing says how much units differ by chance",
        )
    cells = _centred(cells.take(_thinned(cells.unit, max_cells, rng)))
    sums, of_unit = _kernel_sums(cells), np.unique(cells.unit, return_index=True)[1]
    side, place = cells.second[of_unit], cells.experiment[of_unit]
    size = np.bincount(np.unique(cells.unit, return_inverse=True)[1]).astype(np.float64)
    divisions, least = _divisions(side, place)
    exact = divisions <= permutations
    drawn = _all_sides(side, place) if exact else _some_sides(side, place, permutations, rng)
    observed = _squared_mmd(sums, size, place, side[None])[0]
    as_large = int((_squared_mmd(sums, size, place, drawn) >= observed - _ROUNDING).sum())
    if exact:
        return float(observed), as_large / divisions, least, ""
    return float(observed), (1 + as_large) / (1 + permutations), max(least, 1 / (1 + permutations)), ""


def _thinned(unit: IntArray, most: int, rng: np.random.Generator) -> IntArray:
    """Choose at most so many rows, as evenly over units as their sizes allow."""
    if unit.size <= most:
        return np.arange(unit.size)
    dealt = rng.permutation(unit.size)
    order = dealt[np.argsort(unit[dealt], kind="stable")]
    starts = np.flatnonzero(np.diff(unit[order], prepend=-1))
    turn = np.arange(unit.size) - np.repeat(starts, np.diff(starts, append=unit.size))
    return np.sort(order[np.argsort(turn, kind="stable")[:most]])


def _centred(cells: _Groups) -> _Groups:
    """Subtract the mean of each experiment, which does not depend on the sides of its units."""
    member = np.unique(cells.experiment, return_inverse=True)[1]
    sums = np.zeros((int(member.max()) + 1, cells.embedding.shape[1]))
    np.add.at(sums, member, cells.embedding)
    return replace(cells, embedding=cells.embedding - (sums / np.bincount(member)[:, None])[member])


def _kernel_sums(cells: _Groups) -> FloatArray:
    """Sum the kernel over the cells of each two units, without the pairs of a cell with itself: (U, U)."""
    squares = np.einsum("nd,nd->n", cells.embedding, cells.embedding)
    distance = np.maximum(squares[:, None] + squares[None] - 2 * cells.embedding @ cells.embedding.T, 0)
    alike = cells.experiment[:, None] == cells.experiment[None]
    np.fill_diagonal(alike, val=False)
    median = float(np.median(distance[alike]))
    kernel = np.exp(-distance / (2 * median)) if median > 0 else (distance == 0).astype(np.float64)
    np.fill_diagonal(kernel, 0)
    member = np.unique(cells.unit, return_inverse=True)[1]
    one_hot = np.zeros((member.size, int(member.max()) + 1))
    one_hot[np.arange(member.size), member] = 1
    sums: FloatArray = one_hot.T @ kernel @ one_hot
    return sums


def _squared_mmd(sums: FloatArray, size: FloatArray, place: IntArray, second: BoolArray) -> FloatArray:
    """Return the squared MMD of each row of sides (P, U): (P,).

    The means of an experiment's two groups are weighted sums over units, with weight 1/m and -1/n for groups
    of m and n cells. Inside a group the m cells make m (m - 1) pairs, not m^2, as none is of a cell with
    itself.
    """
    weights = np.zeros(second.shape)
    own = np.zeros(len(second))
    experiments = np.unique(place)
    for at in experiments:
        for side, sign in ((False, 1.0), (True, -1.0)):
            chosen = ((second == side) & (place == at)).astype(np.float64)
            cells = (chosen @ size)[:, None]
            weights += sign * chosen / cells
            pairs = np.einsum("pu,uv,pv->p", chosen, sums, chosen, optimize=True)
            own += pairs * (1 / np.maximum(cells * (cells - 1), 1) - 1 / cells**2)[:, 0]
    whole = np.einsum("pu,uv,pv->p", weights, sums, weights, optimize=True)
    result: FloatArray = (whole + own) / experiments.size**2
    return result


def _divisions(side: BoolArray, place: IntArray) -> tuple[int, float]:
    """Count the ways to divide units inside experiments, and say the smallest p that they can give."""
    counts = [(int(side[place == at].sum()), int((place == at).sum())) for at in np.unique(place)]
    ways = prod(comb(of, chosen) for chosen, of in counts)
    mirrored = all(2 * chosen == of for chosen, of in counts)
    return ways, (2 if mirrored else 1) / ways


def _all_sides(side: BoolArray, place: IntArray) -> BoolArray:
    """Return each division of the units once: (ways, U)."""
    members = [np.flatnonzero(place == at) for at in np.unique(place)]
    ways = [combinations(rows, int(side[rows].sum())) for rows in members]
    chosen = [np.concatenate(one) for one in product(*ways)]
    sides = np.zeros((len(chosen), side.size), dtype=np.bool_)
    np.put_along_axis(sides, np.array(chosen, dtype=np.int64), True, axis=1)
    return sides


def _some_sides(side: BoolArray, place: IntArray, count: int, rng: np.random.Generator) -> BoolArray:
    """Permute units inside their experiments so many times: (count, U)."""
    sides = np.repeat(side[None], count, axis=0)
    for at in np.unique(place):
        rows = np.flatnonzero(place == at)
        sides[:, rows] = rng.permuted(sides[:, rows], axis=1)
    return sides
