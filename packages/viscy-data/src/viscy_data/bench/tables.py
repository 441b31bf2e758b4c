"""What a bench found, as texts: for the terminal, and for the page."""

from collections.abc import Sequence

from viscy_data.bench.measure import Rate
from viscy_data.bench.result import OPTIMIZED, Bench, rate_text
from viscy_data.bench.settings import PRESENT
from viscy_data.pages.table import Table

NOTHING_HELPS = "Nothing that was tried helps by more than the noise."


def settings_table(result: Bench) -> Table:
    """One row per setting, the present one first."""
    present = result.present
    rows = [(PRESENT, rate_text(result.per_second), "", *_waits(present))]
    rows += [
        (one.setting.name, rate_text(one.rate.per_second), f"x {one.gain:.2f}", *_waits([one.rate]))
        for one in result.tried
    ]
    if result.copied is not None:
        copied = result.copied
        wait = 2 * result.subject.batch_size / result.expected
        rows.append(
            (OPTIMIZED, rate_text(result.expected), f"x {copied.gain:.2f}", f"{wait:.3f} s", "as it is")
        )
    title = f"{result.seconds:g} s each, batches of {result.subject.batch_size} pairs"
    return Table(
        title, ("setting", "patches/s", "gain", "wait for a batch", "frames in a batch"), tuple(rows)
    )


def _waits(rates: Sequence[Rate]) -> tuple[str, str]:
    batches = sum(one.batches for one in rates)
    frames = sum(one.frames * one.batches for one in rates)
    return f"{sum(one.wait for one in rates) / batches:.3f} s", f"{frames / batches:.1f}"


def advice_lines(result: Bench) -> list[str]:
    """Say what helps, the most helpful first; and what could not be tried."""
    found = [
        f"{place}. {one.name}: x {one.gain:.1f}, {rate_text(one.per_second)} patches/s. {one.text}."
        for place, one in enumerate(result.advice(), start=1)
    ]
    if not found:
        found = [NOTHING_HELPS]
    return [*found, *refused_lines(result)]


def refused_lines(result: Bench) -> list[str]:
    """Say what could not be tried, and why."""
    return [f"Not tried: {name}: {why}" for name, why in result.refused.items()]


def notes(result: Bench) -> list[str]:
    """Say how sure the figures are."""
    rates = [one.per_second for one in result.present]
    noise = (
        f"The present way was measured {len(rates)} times between the others, at {rate_text(min(rates))} to "
        f"{rate_text(max(rates))} patches/s, {result.noise:.0%} from one time to the next; "
        "gains below that are not told from noise."
    )
    lines = [noise]
    if result.from_disk is not None:
        lines.append(
            f"Of the bytes that this process read, {result.from_disk:.0%} came from the disk, the rest from "
            "the system's page cache: what is compared is "
            + ("decoding more than the disk." if result.from_disk < 0.5 else "the disk more than decoding.")
        )
    if result.step:
        lines.append(f"A step of {result.step:g} s was put between batches, as while a GPU works.")
    return lines
