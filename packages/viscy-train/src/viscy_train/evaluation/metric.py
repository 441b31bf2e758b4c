"""What a metric answers: a number with its evidence, or the reason why there is none.

Every number comes with four companions: how many observations and lineages it rests on, a bootstrap
interval over lineages (cells of one lineage are not independent observations), what the same
computation gives once the labels are shuffled, and which direction is better. A number that cannot be
computed is a `NotAvailable` with its reason; there is no NaN anywhere.
"""

from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Literal

from viscy_data import InvalidInputError

type Better = Literal["higher", "lower"]
type Outcome = Metric | NotAvailable


@dataclass(frozen=True)
class Definition:
    """What a metric is: the part that does not depend on data.

    Attributes
    ----------
    name : str
        Unique key, e.g. ``"condition_left_out/auroc"``.
    title : str
        A few words for tables and plots.
    better : {"higher", "lower"}
        Direction in which an embedding improves.
    text : str
        One or two sentences: how the number is computed, and its source.
    """

    name: str
    title: str
    better: Better
    text: str


@dataclass(frozen=True)
class Metric:
    """A number and its evidence.

    Attributes
    ----------
    definition : Definition
    value : float
    low, high : float
        Percentile bootstrap interval over lineages.
    shuffled : float
        The same computation on shuffled labels: what an embedding that knows nothing gets.
    n : int
        Observations (cells or pairs of cells) behind the number.
    lineages : int
        Lineages they come from.
    note : str
        What a reader must know about this number, such as parts that were left out.

    Raises
    ------
    InvalidInputError
        If a number is not finite; say `NotAvailable` instead.

    Examples
    --------
    >>> what = Definition("smoothness", "smoothness", "lower", "successive over random distance")
    >>> Metric(what, 0.4, 0.35, 0.45, shuffled=1.0, n=900, lineages=60).name
    'smoothness'
    """

    definition: Definition
    value: float
    low: float
    high: float
    shuffled: float
    n: int
    lineages: int
    note: str = ""

    def __post_init__(self) -> None:
        for field in ("value", "low", "high", "shuffled"):
            if not isfinite(getattr(self, field)):
                raise InvalidInputError(
                    f"{field}={getattr(self, field)} of metric {self.name!r} is not finite; "
                    "a number that cannot be computed is a NotAvailable with its reason"
                )

    @property
    def name(self) -> str:
        """The metric's key."""
        return self.definition.name

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"name": self.name, "available": True, **asdict(self)}


@dataclass(frozen=True)
class NotAvailable:
    """A metric that these data cannot give, and why.

    Examples
    --------
    >>> what = Definition("smoothness", "smoothness", "lower", "successive over random distance")
    >>> NotAvailable(what, "no track has two successive frames").reason
    'no track has two successive frames'
    """

    definition: Definition
    reason: str

    @property
    def name(self) -> str:
        """The metric's key."""
        return self.definition.name

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"name": self.name, "available": False, **asdict(self)}
