"""The figures that are committed: runs in them are neither made again nor lost, wherever their files are.

Embeddings of runs are large and stay where they were made; a line of figures for each is committed. So the
study goes on wherever the repository is, and ``measure`` adds to the figures instead of replacing them.
"""

import json
from pathlib import Path
from typing import Any, Final

from study.arms import STEPS
from study.findings import Record

PARTS: Final = ("runs", "where", "curve", "real")
_NAME: Final = ("set", "setting", "seed", "arm", "number", "steps")
_KEYS: Final = {
    "runs": {"seed": int, "arm": str, "number": int, "steps": int, "figures": dict},
    "where": {"setting": str, "seed": int, "arm": str, "number": int, "steps": int, "figures": dict},
    "curve": {"seed": int, "arm": str, "number": int, "steps": int, "figures": dict},
    "real": {"set": str, "arm": str, "number": int, "steps": int, "figures": dict},
}
_SAME_DATA: Final = 0.002
"""Raw pixels of one seed measure alike to so much, whichever processor made them."""

type Figures = dict[str, list[Record]]


def nothing() -> Figures:
    """Return figures of no run."""
    return {part: [] for part in PARTS}


def read(path: Path) -> Figures:
    """Read committed figures.

    Raises
    ------
    SystemExit
        The file cannot be read, lacks a part, holds what is no run, or a run twice.
    """
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SystemExit(f"{path} cannot be read ({error}): {_REMEDY}") from error
    if not isinstance(written, dict) or any(not isinstance(written.get(part), list) for part in PARTS):
        raise SystemExit(f"{path} has no lists {', '.join(PARTS)}: {_REMEDY}")
    for part in PARTS:
        names = set()
        for number, record in enumerate(written[part], start=1):
            if not _is_run(record, part):
                raise SystemExit(f"{path}: number {number} of {part!r} is no run: {_REMEDY}")
            if name_of(record) in names:
                raise SystemExit(f"{path} holds {_said(record)} twice in {part!r}: {_REMEDY}")
            names.add(name_of(record))
    return {part: written[part] for part in PARTS}


_REMEDY: Final = "bring it back with git, or begin anew with --afresh."


def _is_run(record: Any, part: str) -> bool:
    return isinstance(record, dict) and all(
        isinstance(record.get(key), of) for key, of in _KEYS[part].items()
    )


def name_of(record: Record) -> tuple[Any, ...]:
    """Return what tells a run from all others."""
    return tuple(record.get(key) for key in _NAME)


def _said(record: Record) -> str:
    return ", ".join(f"{key} {record[key]}" for key in _NAME if key in record)


def names_in(figures: Figures) -> set[tuple[Any, ...]]:
    """Return the names of all runs."""
    return {name_of(record) for records in figures.values() for record in records}


def joined(measured: Figures, known: Figures) -> Figures:
    """Return measured runs, and those known that are not among them; in the study's number of steps.

    Raises
    ------
    SystemExit
        Raw pixels of a seed measure otherwise than is known: the data are not those of the known runs.
    """
    found = {}
    for part in PARTS:
        by_name = {name_of(record): record for record in measured[part]}
        for record in known[part]:
            _check_same(by_name.setdefault(name_of(record), record), record)
        kept = sorted(by_name.values(), key=lambda one: [str(value) for value in name_of(one)])
        found[part] = kept if part == "curve" else _whole(kept)
    return found


def _check_same(record: Record, known: Record) -> None:
    if record["arm"] != "raw":
        return
    for name, value in known["figures"].items():
        now = record["figures"][name]
        if isinstance(value, float) and abs(now - value) > _SAME_DATA:
            raise SystemExit(
                f"{_said(known)}: {name} is {now:.4f}, and {value:.4f} in the known figures. The data or how "
                "they are measured changed since, so the runs cannot be compared: begin anew with --afresh."
            )


def _whole(records: list[Record]) -> list[Record]:
    """Leave out trainings of another number of steps, and raw pixels of data that nothing trained on."""
    trained = {_data(one) for one in records if one["arm"] != "raw" and one["steps"] == STEPS}
    return [
        one for one in records if (one["arm"] == "raw" or one["steps"] == STEPS) and _data(one) in trained
    ]


def _data(record: Record) -> tuple[Any, ...]:
    return tuple(record.get(key) for key in ("set", "setting", "seed"))
