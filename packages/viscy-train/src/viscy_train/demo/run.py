"""The demo from one call: data, batches, two trainings, three embeddings, one report.

What a demo writes into its folder: ``data/`` (where it makes its own), ``anchors.parquet`` and its
statistics, ``NAME.ckpt``, ``NAME.zarr``, ``metrics_NAME.json``, ``demo.json`` and ``report.html``.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from viscy_data import (
    InvalidInputError,
    check_entries,
    check_outside,
    claimed,
    marked,
    shown,
    shown_lines,
    whole_file,
)
from viscy_data.pages.page import write_page
from viscy_train.demo.comparison import COMPOSED, RANDOM, Comparison, compare
from viscy_train.demo.settings import FULL_MINUTES, DemoSettings
from viscy_train.demo.side_by_side import train_all
from viscy_train.demo.source import prepare
from viscy_train.demo.story import provenance, tell
from viscy_train.demo.training import Job, composed_batches, random_batches
from viscy_train.demo.verdict import Verdict, judge

RESULT = "demo.json"
REPORT = "report.html"


@dataclass(frozen=True)
class DemoResult:
    """What a demo found.

    Attributes
    ----------
    report : Path
        The HTML file.
    verdict : Verdict
    comparison : Comparison
        Embeddings and their evaluations.
    """

    report: Path
    verdict: Verdict
    comparison: Comparison


def run_demo(
    *,
    data: str | Path | None = None,
    movies: Sequence[str | Path] = (),
    out: str | Path = "demo",
    minutes: float = FULL_MINUTES,
    seed: int = 0,
    smallest: bool = False,
    settings: DemoSettings | None = None,
    missing_chunks: Literal["error", "fill"] = "error",
    non_finite: Literal["error", "fill"] = "error",
    progress: bool = True,
) -> DemoResult:
    """Run the whole demo and write its report.

    Parameters
    ----------
    data : str or Path, optional
        An experiments file.
    movies : sequence of str or Path
        Folders of movies. With neither, experiments are synthesised.
    out : str or Path
        Folder for everything that is written; made when it does not exist.
    minutes : float
        Time for all of it on two cores; the number of training steps is proportional to it.
    seed : int
    smallest : bool
        Just enough to see that everything runs.
    settings : DemoSettings, optional
        In place of those that follow from `minutes`, `seed` and `smallest`.
    missing_chunks, non_finite : "error" or "fill"
        How stores are read that lack chunks, or hold pixels that are not finite; see `viscy_data.Reading`.
    progress : bool
        Show progress bars, and the finding at the end.

    Returns
    -------
    DemoResult

    Raises
    ------
    InvalidInputError
        If arguments exclude each other, the input cannot be used, or `out` holds something that no demo
        wrote.
    """
    chosen = settings or replace(
        DemoSettings.of(seed=seed, minutes=minutes, smallest=smallest),
        missing_chunks=missing_chunks,
        non_finite=non_finite,
    )
    folder = Path(out)
    read = [Path(one) for one in ([] if data is None else [data]) + list(movies)]
    with _claimed(folder, read, movies):
        return _run(data, movies, folder, chosen, progress=progress)


def _run(
    data: str | Path | None,
    movies: Sequence[str | Path],
    folder: Path,
    chosen: DemoSettings,
    *,
    progress: bool,
) -> DemoResult:
    source = prepare(
        None if data is None else Path(data), [Path(one) for one in movies], folder, chosen, progress=progress
    )
    kinds = {COMPOSED: composed_batches(source, chosen), RANDOM: random_batches(source, chosen)}
    channels = len(source.channels)
    jobs = [
        Job(name, batches, source.anchors_path, channels, chosen, folder) for name, batches in kinds.items()
    ]
    trained = train_all(jobs, progress=progress)
    comparison = compare(trained, source, chosen, folder, progress=progress)
    verdict = judge(comparison.evaluations, steps=chosen.steps)
    write_page(tell(source, trained, comparison, verdict, chosen), folder / REPORT)
    found: dict[str, object] = {
        "verdict": asdict(verdict),
        "notes": source.notes,
        "provenance": provenance(source, trained, chosen),
        "metrics": {name: one.to_dict() for name, one in comparison.evaluations.items()},
    }
    _write(folder / RESULT, found)
    if progress:
        sys.stderr.write(shown_lines(f"{verdict.text}\nreport: {folder / REPORT}") + "\n")
    return DemoResult(folder / REPORT, verdict, comparison)


@contextmanager
def _claimed(folder: Path, inputs: Sequence[Path], movies: Sequence[str | Path]) -> Iterator[None]:
    """Make the folder, or take one that an earlier demo has written, for this process alone."""
    mark = folder / RESULT
    check_entries(folder, [RESULT], overwrite=True, inputs=inputs)
    check_outside(folder, movies)
    if folder.exists() and any(folder.iterdir()) and not mark.exists():
        raise InvalidInputError(
            f"out={shown(folder, 300)!r} is not empty and no demo wrote it; choose another folder"
        )
    with claimed(mark, inputs=inputs, make_parents=True):
        _write(mark, {"finished": False})
        yield


def _write(path: Path, content: dict[str, object]) -> None:
    with whole_file(path) as beside:
        beside.write_text(json.dumps(marked(content, "viscy-train"), indent=1))
