"""What a metric answers: a number with its evidence, or the reason why there is none.

Every number comes with its companions: how many observations it rests on, and how many units (wells,
experiments, lineages) these come from; an interval over units, since cells of one unit are not independent
observations; what the same computation gives once the labels are shuffled among units; and which value
would be best, where there is one. A number that cannot be computed is a `NotAvailable` with its reason;
there is no NaN anywhere.
"""

from dataclasses import asdict, dataclass, field, fields, replace
from math import inf, isfinite
from typing import Any, Literal

from viscy_data import InvalidInputError
from viscy_train.evaluation.intervals import Replicates

MOST_BY_CHANCE = 0.05
"""Share of shuffles at least as good, above which a number is not told from guessing."""

type Better = Literal["higher", "lower", "down to guess", "near 1", "neither"]
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
    better : {"higher", "lower", "down to guess", "near 1", "neither"}
        Which values speak for an embedding: lower, but no better below what guessing gives ("down to
        guess"); "neither" where a value only describes it.
    text : str
        One or two sentences: how the number is computed, and its source.
    bounds : tuple of float
        What the number can be; an interval ends there.
    """

    name: str
    title: str
    better: Better
    text: str
    bounds: tuple[float, float] = (-inf, inf)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, which knows no infinity."""
        return asdict(self) | {"bounds": [limit if isfinite(limit) else None for limit in self.bounds]}


@dataclass(frozen=True)
class Metric:
    """A number and its evidence.

    Attributes
    ----------
    definition : Definition
    value : float
    low, high : float
        Interval over units; it contains the value.
    shuffled : float
        The same computation on shuffled labels, their mean: what an embedding that knows nothing gets.
    n : int
        Observations (cells or pairs of cells) behind the number.
    units : int
        Units they come from.
    unit : str
        What a unit is: "wells", "experiments", "lineages".
    p : float or None
        Share of shuffled labels that give at least as extreme a number, this one among them; None where
        nothing that was given at random is shuffled.
    floor, ceiling : float or None
        The same metric of an embedding that should be beaten, such as raw pixels, and of one that cannot be,
        such as an encoder trained with the labels; None where not known.
    note : str
        What a reader must know about this number, such as parts that were left out.
    replicates : Replicates or None
        The number with units left out, from which the interval of a difference to another embedding of the
        same cells comes (`differences`).

    Raises
    ------
    InvalidInputError
        If a number is not finite (say `NotAvailable` instead), or outside its interval.

    Examples
    --------
    >>> what = Definition("smoothness", "smoothness", "lower", "successive over random distance")
    >>> Metric(what, 0.4, 0.35, 0.45, shuffled=1.0, n=900, units=60).name
    'smoothness'
    """

    definition: Definition
    value: float
    low: float
    high: float
    shuffled: float
    n: int
    units: int
    unit: str = "lineages"
    p: float | None = None
    floor: float | None = None
    ceiling: float | None = None
    note: str = ""
    replicates: Replicates | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("value", "low", "high", "shuffled"):
            if not isfinite(getattr(self, name)):
                raise InvalidInputError(
                    f"{name}={getattr(self, name)} of metric {self.name!r} is not finite; "
                    "a number that cannot be computed is a NotAvailable with its reason"
                )
        if not self.low <= self.value <= self.high:
            raise InvalidInputError(
                f"value={self.value} of metric {self.name!r} is outside its interval, "
                f"{self.low} to {self.high}"
            )

    @property
    def name(self) -> str:
        """The metric's key."""
        return self.definition.name

    def with_limits(self, floor: "Outcome | None" = None, ceiling: "Outcome | None" = None) -> "Metric":
        """Return the metric beside the values of others; what is not available there is not known here."""
        return replace(
            self,
            floor=floor.value if isinstance(floor, Metric) else self.floor,
            ceiling=ceiling.value if isinstance(ceiling, Metric) else self.ceiling,
        )

    @property
    def tells(self) -> bool | None:
        """Whether the number is beyond chance on the better side; None where no side is better.

        The interval has to exclude chance; and where labels given at random were shuffled, few shuffles may
        give as good a number: of few units an interval can be narrow by luck alone.
        """
        if self.definition.better not in ("higher", "lower"):
            return None
        beyond = self.low > self.shuffled if self.definition.better == "higher" else self.high < self.shuffled
        return beyond and (self.p is None or self.p <= MOST_BY_CHANCE)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        plain = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "replicates"}
        return {"name": self.name, "available": True, **plain, "definition": self.definition.to_dict()}


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
        return {
            "name": self.name,
            "available": False,
            "reason": self.reason,
            "definition": self.definition.to_dict(),
        }
