"""The figures as tables: every job side by side, ours against NumPy, and where ours does not lead."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby
from textwrap import shorten

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from speed.case import Record
from speed.data import BATCH
from speed.figures import COLUMNS, Column, leads
from speed.jobs import ASKED
from speed.reasons import why

KEY = ("job", "rows")
LEADS = "Ours leads every row that it competes in."
WHOSE = {"ranks_8_s_note": "8 ranks: ", "ranks_64_s_note": "64 ranks: "}


def show(records: Sequence[Record], console: Console) -> None:
    console.print(side_by_side(records))
    console.print(*(f"{job}: {asked}." for job, asked in ASKED.items()), sep="\n", style="dim")
    console.print(Group("", against_numpy(records), "", behind(records)))


def contests(records: Sequence[Record]) -> Iterator[list[Record]]:
    """The records of one job and size, job by job."""
    order = {job: place for place, job in enumerate(ASKED)}
    ranked = sorted(records, key=lambda record: (order[record["job"]], record["rows"]))
    for _, contest in groupby(ranked, key=lambda record: tuple(record[name] for name in KEY)):
        yield list(contest)


def side_by_side(records: Sequence[Record]) -> Table:
    table = Table(
        title=f"Batches of {BATCH}, process time; the best of each job and size is bold",
        caption="A batch: mean over a pass, its beginning included. First batch, resume: building included.",
    )
    table.add_column("job", overflow="fold")
    table.add_column("anchors", justify="right")
    table.add_column("sampler", overflow="fold")
    for column in COLUMNS:
        table.add_column(f"{column.title}, {column.unit}", justify="right", max_width=10)
    table.add_column("note", overflow="fold", max_width=34)
    for contest in contests(records):
        for record in contest:
            cells = [cell(column, record, contest) for column in COLUMNS]
            style = "cyan" if record["ours"] else None
            table.add_row(
                record["job"], f"{record['rows']:.0e}", record["sampler"], *cells, note(record), style=style
            )
        table.add_section()
    return table


def cell(column: Column, record: Record, contest: Sequence[Record]) -> Text:
    value = column.read(record)
    if value is None:
        return Text("too slow" if record.get("too_slow") == column.key else "-", style="dim")
    known = [other for rival in contest if (other := column.read(rival)) is not None]
    return Text(number(value), style="bold" if len(known) > 1 and value == min(known) else "")


def number(value: float) -> str:
    return f"{value:,.2f}" if abs(value) < 10 else f"{value:,.1f}" if abs(value) < 1000 else f"{value:,.0f}"


def note(record: Record) -> str:
    """What a record says in words, of the whole case or of a number of ranks; its beginning."""
    texts = {key: str(record[key]) for key in ("note", "ranks_8_s_note", "ranks_64_s_note") if key in record}
    return "; ".join(
        f"{WHOSE.get(key, '')}{shorten(text, 60, placeholder=' ...')}" for key, text in texts.items()
    )


def against_numpy(records: Sequence[Record]) -> Table:
    table = Table(title="Ours against NumPy: rng.integers(0, n, 128).tolist(), and a stable sort of n keys")
    for title in ("plan", "anchors", "floor us", "x floor", "x floor, rank of 8", "x floor, rank of 64"):
        table.add_column(title, justify="right")
    for title in ("build / sort", "peak B/anchor", "kept B/anchor", "batch(b) alone ms"):
        table.add_column(title, justify="right")
    for record in (record for contest in contests(records) for record in contest if record["ours"]):
        floor, rows = record.get("floor_s"), record["rows"]
        ratios = [ratio(record.get(name), floor) for name in ("batch_s", "ranks_8_s", "ranks_64_s")]
        table.add_row(
            record["job"],
            f"{rows:.0e}",
            ratio(floor, 1e-6),
            *ratios,
            ratio(record.get("build_s"), record.get("sort_s")),
            ratio(record.get("peak_bytes"), rows),
            ratio(record.get("kept_bytes"), rows),
            ratio(record.get("alone_s"), 1e-3),
        )
    return table


def ratio(value: float | None, unit: float | None) -> str:
    return "-" if value is None or not unit else f"{value / unit:.2f}"


def behind(records: Sequence[Record]) -> Table | str:
    """Where a rival has the better figure, at which sizes, and why."""
    found: dict[tuple[str, Column, str], list[str]] = defaultdict(list)
    for contest in contests(records):
        ours = next((record for record in contest if record["ours"]), None)
        if ours is None:
            continue
        for column, rival, text in defeats(ours, [record for record in contest if not record["ours"]]):
            found[ours["job"], column, rival].append(f"{ours['rows']:.0e}: {text}")
    if not found:
        return LEADS
    table = Table(title="Where ours does not lead: figures of the rival / ours", show_lines=True)
    for title in ("job", "figure", "rival", "anchors: rival / ours", "why"):
        table.add_column(title, overflow="fold")
    for (job, column, rival), texts in found.items():
        table.add_row(job, f"{column.title}, {column.unit}", rival, "\n".join(texts), why(rival, column.key))
    return table


def defeats(ours: Record, rivals: Sequence[Record]) -> Iterator[tuple[Column, str, str]]:
    """The figures in which a rival leads: the column, the rival, and both figures."""
    for column in COLUMNS:
        value = column.read(ours)
        for rival in rivals:
            other = column.read(rival)
            if other is not None and (value is None or not leads(column, value, [other])):
                mine = note(ours) if value is None else number(value)
                yield column, rival["sampler"], f"{number(other)} / {mine}"
