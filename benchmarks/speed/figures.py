"""What the figures of cases are called and how they are read: one list for the table and for the plot."""

from dataclasses import dataclass

from speed.case import Record


@dataclass(frozen=True)
class Column:
    """A figure: its key, title, unit, and the difference below which two of them are level."""

    key: str
    title: str
    scale: float
    unit: str
    level: float

    def read(self, record: Record) -> float | None:
        value = record.get(self.key)
        return None if value is None else value * self.scale


COLUMNS = (
    Column("first_s", "first batch", 1e3, "ms", 0.1),
    Column("batch_s", "a batch, 1 rank", 1e6, "us", 0.5),
    Column("ranks_8_s", "own batch, 8 ranks", 1e6, "us", 0.5),
    Column("ranks_64_s", "own batch, 64 ranks", 1e6, "us", 0.5),
    Column("resume_s", "resume in the middle", 1e3, "ms", 0.1),
    Column("peak_bytes", "memory, peak", 2**-20, "MB", 0.5),
    Column("kept_bytes", "memory, kept", 2**-20, "MB", 0.5),
)
TIE = 1.05
"""Figures within 5 % are level: runs of the same code differ by as much."""


def leads(column: Column, value: float, others: list[float]) -> bool:
    return all(value <= max(other * TIE, other + column.level) for other in others)
