# ruff: noqa: E501 - one mutant a line
"""Break the drawing of batches once in each of ten plausible ways, and see the tests notice.

Each mutant replaces one text of a copy of `viscy_data` in a temporary folder and runs the tests that should fail.
Run ``uv run python scripts/mutate_sampler.py [WORD ...]``; it exits 1 where a mutant lives.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "packages/viscy-data/src/viscy_data"
TESTS = ROOT / "packages/viscy-data/tests"


class Mutant(NamedTuple):
    """One way to break a file of composition: ``old`` becomes ``new``; ``tests`` is what should notice."""

    name: str
    file: str
    old: str
    new: str
    tests: str


MUTANTS = [
    Mutant(
        "the order of groups forgets the epoch",
        "order",
        "Purpose.GROUP_ORDER, epoch, first)",
        "Purpose.GROUP_ORDER, 0, first)",
        "composition/test_order.py",
    ),
    Mutant(
        "what rounding leaves over goes to the same stratum",
        "rounding",
        "np.arange(period) * _coprime(period) % period",
        "np.arange(period) * 0",
        "composition/test_rounding.py",
    ),
    Mutant(
        "parts are rounded apart from the whole",
        "counts",
        "[[0, 1], [2, 3], [0, 1, 2, 3]]",
        "[[0, 1], [2, 3]]",
        "contract/test_all_axes.py",
    ),
    Mutant(
        "a short window takes nothing from outside",
        "demands",
        "from_near = np.maximum(from_near, rest - far_size)",
        "from_near = np.maximum(from_near, 0)",
        "composition/test_passes.py",
    ),
    Mutant(
        "cells of other groups are drawn without regard to size",
        "demands",
        "cell = self._layout.cell_of(elsewhere.place(number, line))",
        "cell = self._layout.cell_of(elsewhere.place(number // 2, line))",
        "contract/test_leaks.py",
    ),
    Mutant(
        "a pass opens with what the last step took",
        "passes",
        "is_new = ~np.isin(",
        "is_new = np.isin(",
        "composition/test_passes.py",
    ),
    Mutant(
        "weights are slots of one",
        "ranges",
        "np.maximum(np.floor(weight * np.repeat(scale, size)), 1.0)",
        "np.ones(weight.size)",
        "composition/test_passes.py",
    ),
    Mutant(
        "a cap lets one too many come",
        "apart",
        "there >= self._rule.count, there + before < self._rule.count",
        "there > self._rule.count, there + before <= self._rule.count",
        "composition/test_apart.py",
    ),
    Mutant(
        "a redraw depends on what else was asked for",
        "composer",
        "in_step = number[which] - np.searchsorted(unit, step)",
        "in_step = number[which]",
        "contract/test_purity_and_order.py",
    ),
    Mutant(
        "held frames are drawn anew",
        "frames",
        "turn = (visit + stagger) // self._hold",
        "turn = visit + stagger",
        "contract/test_few_frames.py",
    ),
]


def lives(mutant: Mutant, folder: Path) -> bool:
    """Return whether the tests pass on a broken copy."""
    copy = folder / mutant.file / "viscy_data"
    shutil.copytree(SOURCE, copy, dirs_exist_ok=True)
    path = copy / "composition" / f"{mutant.file}.py"
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        raise SystemExit(
            f"{mutant.name}: {mutant.old!r} occurs {text.count(mutant.old)} times in {mutant.file}.py"
        )
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    run = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "0",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        str(TESTS / mutant.tests),
    ]
    env = os.environ | {"PYTHONPATH": str(copy.parent)}
    done = subprocess.run(run, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    shutil.rmtree(copy.parent)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{mutant.name}: the tests did not run\n{done.stdout[-2000:]}")
    return done.returncode == 0


def main(words: list[str]) -> int:
    """Run the mutants whose names hold all words; return 1 where one lives."""
    chosen = [one for one in MUTANTS if all(word in one.name for word in words)]
    alive = []
    with tempfile.TemporaryDirectory() as folder:
        for mutant in chosen:
            is_alive = lives(mutant, Path(folder))
            alive += [mutant.name] * is_alive
            sys.stdout.write(f"{'LIVES' if is_alive else 'noticed'}: {mutant.name}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(chosen) - len(alive)} of {len(chosen)} mutants were noticed\n")
    return int(bool(alive))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
