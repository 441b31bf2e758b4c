"""Keep the way of drawing small enough to be taken over: its lines, files, import chains and tests.

A limit is reached by making things simpler, not by raising it. ``scripts/lint.sh`` runs this.
"""

import re
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1] / "packages" / "viscy-data"
COMPOSITION = ROOT / "src" / "viscy_data" / "composition"
TESTS = ROOT / "tests"
LIMITS = {
    "lines of composition": 3700,
    "files of composition": 24,
    "longest chain of imports in composition": 9,
    "lines of the sampler's tests": 4200,
}


def lines_of(paths: list[Path]) -> int:
    """Return how many lines files have together."""
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


@cache
def chain_from(module: str) -> int:
    """Return how many files the longest chain of imports from a module on has."""
    text = (COMPOSITION / f"{module}.py").read_text(encoding="utf-8")
    inner = set(re.findall(r"^\s*from viscy_data\.composition\.(\w+) import", text, re.MULTILINE))
    inner |= {"keyed"} if "from viscy_data.composition import keyed" in text else set()
    return 1 + max((chain_from(one) for one in inner), default=0)


def main() -> int:
    """Print each count beside its limit; return 1 where one is above it."""
    files = sorted(COMPOSITION.glob("*.py"))
    samplers = [*(TESTS / "contract").glob("*.py"), *(TESTS / "composition").glob("*.py")]
    samplers += [TESTS / "sampling" / f"test_{name}.py" for name in ("sampler_table", "shard")]
    found = dict(
        zip(
            LIMITS,
            (
                lines_of(files),
                len(files),
                max(chain_from(path.stem) for path in files if path.stem != "__init__"),
                lines_of(samplers),
            ),
            strict=True,
        )
    )
    for name, count in found.items():
        sys.stdout.write(f"{count:>6} {name}, at most {LIMITS[name]}\n")
    return int(any(count > LIMITS[name] for name, count in found.items()))


if __name__ == "__main__":
    sys.exit(main())
