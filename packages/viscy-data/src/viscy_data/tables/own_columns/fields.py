"""What the experiments file may say of columns of one's own: constants, and tables that are joined.

Problem: such a name must not hide a column that the anchors table has already, nor one of another table, and
a table without its keys can be joined to nothing. Idea: both are visible in the headers of the tables, so
they are compared before anything is built. Cost: the first lines of each file are read.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from viscy_data.columns import (
    ANCHOR_COLUMNS,
    CHANNEL_COLUMNS,
    EXPERIMENT,
    FOV,
    HAS_POSITIVE,
    SOURCE_COLUMNS,
    SOURCE_ID,
    SOURCE_NAME,
    SOURCE_TRACK_ID,
    SOURCE_TRACK_NAME,
    TRACK_ID,
    WELL,
    T,
)
from viscy_data.tables.experiment_fields import PossiblePath, Text, Texts

type Level = Literal["experiment", "well", "cell", "track"]

TAKEN: Final = frozenset(
    [*(one.name for one in (*ANCHOR_COLUMNS, *CHANNEL_COLUMNS, *SOURCE_COLUMNS)), HAS_POSITIVE, "row"]
)
"""Names that no column of one's own may have: those of the anchors table, and the row that `embed` adds."""

CELL_KEYS: Final = (SOURCE_ID, SOURCE_NAME, TRACK_ID, SOURCE_TRACK_ID, SOURCE_TRACK_NAME)
"""Columns that say which cell or track a row of a table is of; the first that it has counts."""

KEYS: Final = {"well": (WELL, EXPERIMENT), "cell": (FOV, *CELL_KEYS, T, EXPERIMENT)}
"""Columns by which tables of a level are joined, where they have them."""


def _constant(value: object) -> object:
    if value is not None and not isinstance(value, str | int | float):
        raise ValueError("text, a number, or true or false is needed; write a date in quotes")
    if isinstance(value, float) and not abs(value) < float("inf"):
        raise ValueError("a number that is finite is needed; null means that it is not known")
    if isinstance(value, int) and abs(value) > 2**53:
        raise ValueError("a number up to 2**53 is needed, as floats round larger ones; write an id in quotes")
    return value


Constant = Annotated[Any, BeforeValidator(_constant)]


class ColumnsFile(BaseModel):
    """A table whose columns join the anchors table.

    Attributes
    ----------
    path
        CSV or Parquet.
    columns
        Those that are taken; None: all but the keys.
    fill
        By column, what cells have of which the table says nothing; null where it is not given.

    Examples
    --------
    >>> ColumnsFile(path="labels.csv", columns=["infected"]).columns
    ('infected',)
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    path: PossiblePath
    columns: Annotated[Texts, Field(min_length=1)] | None = None
    fill: dict[Text, Constant] = Field(default_factory=dict)


def _listed(value: object) -> object:
    """Take one table for a list of one, and a path for a table of which all columns are taken."""
    given = [value] if isinstance(value, str | Path | dict | ColumnsFile) else value
    if not isinstance(given, list | tuple):
        raise ValueError(  # noqa: TRY004  pydantic's
            "a path, or a list of paths, is needed; {path: ..., columns: [...]} takes some columns"
        )
    return [{"path": one} if isinstance(one, str | Path) else one for one in given]


ColumnsFiles = Annotated[tuple[ColumnsFile, ...], BeforeValidator(_listed)]
Constants = dict[Text, Constant]


def name_problems(named: Sequence[tuple[str, Sequence[str]]]) -> Iterator[str]:
    """Yield what is wrong with the names of columns, given with where they come from."""
    seen: dict[str, str] = {}
    for where, names in named:
        for name in names:
            if "/" in name or name.strip() in ("", ".", "..", "_index"):
                yield f"{where}: column {name!r}: a name without '/', other than '_index', is needed"
            elif name in TAKEN:
                yield f"{where}: column {name!r} is one that the anchors table has already; {_remedy(where)}"
            elif name in seen:
                yield f"{where}: column {name!r} comes from {seen[name]} already; {_remedy(where)}"
            seen.setdefault(name, where)


def _remedy(where: str) -> str:
    if where in ("columns", "track_columns"):
        return "give it another name" if where == "columns" else "leave it out"
    key, _, path = where.partition("=")
    return (
        "give it another name, or name the columns to take, without it: "
        f"{key}: {{path: {path}, columns: [...]}}"
    )
