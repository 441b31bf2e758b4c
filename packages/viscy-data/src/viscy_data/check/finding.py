"""What a check found: sentences with a severity, and the numbers that they are about.

A *problem* is what a user would not want to train on: a movie that is lost, a condition that cannot be told
from its experiment, patches of nothing. A *remark* is what one should know and may accept. What is *fine*
is said too, so that silence never means a check that was not made.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from rich.text import Text

Severity = Literal["problem", "remark", "fine"]
SEVERITIES: Final[tuple[Severity, ...]] = ("problem", "remark", "fine")
COLOURS: Final[Mapping[str, str]] = {"problem": "bold red", "remark": "yellow", "fine": "green"}

_TEXTS_IN_A_LINE: Final = 2


@dataclass(frozen=True)
class Finding:
    """One thing that was checked.

    Attributes
    ----------
    severity
        "problem", "remark" or "fine".
    topic
        What was checked, in a word or two, such as "tau" or "border".
    text
        A sentence, and what to do.
    numbers
        What the sentence is about, by name.
    """

    severity: Severity
    topic: str
    text: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Loss:
    """What one condition of one experiment has, and what of it is lost.

    Attributes
    ----------
    experiment, condition
        Names; condition None: not known.
    tracks, rows
        Tracks of the table, and detections that were read: rows of the table and those left out of it.
    lost_tracks
        Tracks of which no row has a positive. A light counts no tracks: None.
    reasons
        Rows lost, by reason.
    """

    experiment: str
    condition: str | None
    tracks: int | None
    rows: int
    lost_tracks: int | None
    reasons: Mapping[str, int]

    @property
    def lost_rows(self) -> int:
        """Rows that no batch can take as an anchor with a positive."""
        return sum(self.reasons.values())


@dataclass(frozen=True)
class CheckReport:
    """All that a check found.

    Attributes
    ----------
    path
        The file that was checked.
    findings
        Problems first, then remarks, then what is fine.
    losses
        One entry for each experiment and condition.
    """

    path: Path
    findings: tuple[Finding, ...]
    losses: tuple[Loss, ...] = ()

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The problems."""
        return self.of("problem")

    @property
    def remarks(self) -> tuple[Finding, ...]:
        """The remarks."""
        return self.of("remark")

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        """Return the findings of one severity."""
        return tuple(one for one in self.findings if one.severity == severity)

    def line(self) -> str:
        """Return the check in one line, as other commands print it: what problems say, what remarks are of.

        Examples
        --------
        >>> CheckReport(Path("a.parquet"), (Finding("remark", "z", "z is flat."),)).line()
        'check: 0 problems, 1 remark (z); viscy-data check a.parquet says all'
        >>> CheckReport(Path("a.parquet"), (Finding("problem", "tau", "A movie is lost."),)).line()
        'check: 1 problem, 0 remarks; viscy-data check a.parquet says all. A movie is lost.'
        >>> CheckReport(Path("a.parquet"), ()).line()
        'check: no problem, nothing to remark'
        """
        if not self.problems and not self.remarks:
            return "check: no problem, nothing to remark"
        topics = ", ".join(dict.fromkeys(one.topic for one in self.remarks))
        counts = f"{_count(len(self.problems), 'problem')}, {_count(len(self.remarks), 'remark')}"
        start = f"check: {counts}{topics and f' ({topics})'}; viscy-data check {self.path} says all"
        texts = [one.text for one in self.problems[:_TEXTS_IN_A_LINE]]
        return ". ".join([start, " ".join(texts)]) if texts else start

    def __rich__(self) -> "Text":
        """Return the one line as rich prints it: red with problems, yellow with remarks."""
        from viscy_data.rich_text import verbatim  # noqa: PLC0415

        worst = next((one for one in SEVERITIES if self.of(one)), "fine")
        return verbatim(self.line(), COLOURS[worst])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as JSON takes them."""
        return {
            "path": str(self.path),
            "problems": len(self.problems),
            "remarks": len(self.remarks),
            "findings": [asdict(one) for one in self.findings],
            "losses": [asdict(one) for one in self.losses],
        }


def sorted_findings(findings: list[Finding]) -> tuple[Finding, ...]:
    """Return findings with the worst first."""
    return tuple(sorted(findings, key=lambda one: SEVERITIES.index(one.severity)))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
