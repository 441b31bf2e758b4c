"""How rows are split for a probe: into whole units, or by the values of a column.

A probe that is tested on cells of a well it has learned from knows the well, and would be praised for it.
So no unit is ever on both sides. Units are few, and which of them are left out matters: folds that are not
balanced inside an experiment teach the opposite of what is true of it (`unit_folds`).
"""

from collections.abc import Iterator

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from viscy_train.evaluation.arrays import IntArray
from viscy_train.evaluation.units import constant_within

FOLDS = 5

type Folds = Iterator[tuple[IntArray, IntArray]]


def unit_folds(codes: IntArray, units: IntArray, seed: int, blocks: IntArray | None = None) -> Folds:
    """Yield (train, test) rows: whole units, classes spread evenly over the folds.

    With `blocks`, such as experiments, classes are spread evenly inside each. Otherwise a probe learns from
    what remains of an experiment, say more infected wells than others, that this experiment is infected, and
    is wrong about what was left out of it: less than chance where nobody was treated. A block that holds a
    single unit of a class is left out whole.
    """
    if not constant_within(codes, units):
        per_class = [np.unique(units[codes == code]).size for code in np.unique(codes)]
        folds = min(FOLDS, *per_class) if len(per_class) > 1 else 0
        if folds >= 2:
            splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
            yield from splitter.split(codes, codes, units)
        return
    _, first, member = np.unique(units, return_index=True, return_inverse=True)
    block = np.zeros(first.size, dtype=np.int64)
    if blocks is not None and constant_within(blocks, units):
        block = np.unique(blocks[first], return_inverse=True)[1].astype(np.int64)
    fold, folds = _dealt_into_folds(codes[first], block, np.random.default_rng(seed))
    for test in range(folds if folds > 1 else 0):
        inside = (fold == test)[member]
        yield np.flatnonzero(~inside), np.flatnonzero(inside)


def _dealt_into_folds(label: IntArray, block: IntArray, rng: np.random.Generator) -> tuple[IntArray, int]:
    """Return the fold of each unit (U,), and how many there are."""
    held = np.zeros((block.max() + 1, label.max() + 1), dtype=np.int64)
    np.add.at(held, (block, label), 1)
    mixed = (held > 0).sum(axis=1) > 1
    fewest = np.where(held > 0, held, held.max()).min(axis=1)  # (blocks,)
    whole, shared = mixed & (fewest < 2), mixed & (fewest >= 2)
    most = fewest[shared].min() if shared.any() else whole.sum() if whole.any() else held.sum(axis=0).min()
    folds = min(FOLDS, int(most))
    fold = np.zeros(label.size, dtype=np.int64)
    if folds < 2:
        return fold, folds
    for place, one in enumerate(np.flatnonzero(whole)):
        fold[block == one] = place % folds
    for one in np.flatnonzero(~whole):
        for code in np.flatnonzero(held[one]):
            places = rng.permutation(np.flatnonzero((block == one) & (label == code)))
            # blocks of one class begin at different folds, mixed ones all alike, so that folds are balanced
            fold[places] = (np.arange(places.size) + (0 if mixed[one] else one)) % folds
    return fold, folds


def left_out_folds(held_out: IntArray, units: IntArray | None = None) -> Folds:
    """Yield (train, test) rows: each value of `held_out` is the test part once, units never on both sides."""
    for value in np.unique(held_out):
        inside = held_out == value
        seen = inside if units is None else np.isin(units, units[inside])
        yield np.flatnonzero(~seen), np.flatnonzero(inside)
