"""The command ``viscy-data optimize``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from viscy_data.cli.plain_errors import plain_errors
from viscy_data.errors import InvalidInputError
from viscy_data.rich_text import verbatim

if TYPE_CHECKING:
    from viscy_data.optimize.estimate import Estimate
    from viscy_data.optimize.job import Job


@plain_errors
def optimize(
    store: Annotated[
        Path, typer.Argument(help="OME-Zarr 0.4 or 0.5: a plate or one position.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="The copy to write; it does not exist yet.")],
    patch: Annotated[
        str | None,
        typer.Option(help="Slices, rows and columns of what will be read: Z,Y,X.", show_default=False),
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(help="An anchors table that says the rows and columns instead.", show_default=False),
    ] = None,
    z_window: Annotated[int, typer.Option(min=1, help="Slices, with --index.")] = 1,
    compression: Annotated[
        Literal["zstd", "none"], typer.Option(help="Of chunks; none reads fastest and is largest.")
    ] = "zstd",
    missing_chunks: Annotated[
        Literal["error", "fill"] | None,
        typer.Option(
            help="A chunk that the store lacks is damage, or was left out because it is empty.",
            show_default="as indexed, or error",
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0, help="To measure reading for, before it begins.")] = 4.0,
    yes: Annotated[bool, typer.Option("--yes", help="Begin without being asked.")] = False,
) -> None:
    """Rewrite a store for training: a copy, checked; the original stays as it is.

    Chunks that fit a patch, all channels together, in one file per frame
    (Zarr 3, sharded; NGFF 0.5). First a few frames are rewritten and read: what
    the copy will cost and bring is said before it begins. Every file is read
    back and compared. After a kill, the same command goes on where it was.

    Plate, wells, channels and scales are kept; of a pyramid, the full resolution.

    For example:
    [green]viscy-data optimize plate.zarr -o fast.zarr --patch 5,160,160[/]
    [green]viscy-data optimize plate.zarr -o fast.zarr --index anchors.parquet --z-window 5[/]
    """
    from viscy_data.optimize.estimate import estimate
    from viscy_data.optimize.job import plan_job
    from viscy_data.optimize.run import rewrite
    from viscy_data.tables.anchors.read import read_metadata

    size = _patch(store, patch, index, z_window)
    if missing_chunks is None:
        missing_chunks = "error" if index is None else read_metadata(index).missing_chunks
    job = plan_job(store, out, patch=size, compression=compression, missing_chunks=missing_chunks)
    expected = estimate(job, seconds=seconds)
    console = Console(soft_wrap=True, highlight=False)
    for line in _lines(job, expected):
        console.print(verbatim(line))
    expected.check_space(out)
    if not yes and sys.stdin.isatty():
        typer.confirm("Begin?", default=True, abort=True)
    summary = rewrite(job)
    found = f", {summary.found:,} of them by an earlier run" if summary.found else ""
    console.print(
        verbatim(
            f"Wrote {summary.out}: {summary.bytes / 1e9:.2f} GB in {summary.shards:,} shards{found}, each "
            f"read back and compared (pixels {summary.digest})",
            "green",
        )
    )


def _patch(store: Path, patch: str | None, index: Path | None, z_window: int) -> tuple[int, int, int]:
    if (patch is None) == (index is None):
        raise InvalidInputError("give one of --patch Z,Y,X and --index ANCHORS: what will be read.")
    if index is not None:
        from viscy_data.optimize.job import patch_of_index

        return patch_of_index(index, store, z_window)
    words = str(patch).split(",")
    if len(words) != 3 or not all(word.strip().isdigit() for word in words):
        raise InvalidInputError(f"patch={patch!r} must be Z,Y,X: three numbers, such as 5,160,160.")
    depth, rows, columns = (int(word) for word in words)
    return depth, rows, columns


def _lines(job: "Job", expected: "Estimate") -> list[str]:
    chunk, shard = job.images[0].layout.chunk, job.images[0].layout.shard
    chunks = f"chunks {_times(chunk)} in shards {_times(shard)} (T x C x Z x Y x X)"
    packed = f"{expected.decoded_bytes / 1e9:.2f} GB of pixels, {job.compression}"
    what = f"{job.store}: {len(job.images):,} positions, {packed}; {chunks}"
    cost = (
        f"cost: about {expected.bytes / 1e9:.2f} GB on disk ({expected.free_bytes / 1e9:.0f} GB are free), "
        f"{_duration(expected.seconds)}"
    )
    if job.rescued:
        return [what, cost, "gain: the original cannot be read by training at all; the copy can"]
    gain = (
        f"gain: {expected.before:,.0f} patches/s now, {expected.after:,.0f} then: "
        f"x {expected.after / expected.before:.1f} (patches of {_times(job.patch)}, each from a frame of its "
        f"own; measured on {expected.frames} frames, files in memory)"
    )
    return [what, cost, gain]


def _times(lengths: tuple[int, ...]) -> str:
    return " x ".join(map(str, lengths))


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
