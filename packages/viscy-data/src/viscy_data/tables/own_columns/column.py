"""One column of one's own: which types it may have, and what the index says of it.

A column is *text*, a dictionary of strings, or *numbers*, of the width that its file gives them. True and
false are text: they are groups, not quantities; so are dates, and whole numbers that a float would round, for
they are ids. In CSV files the type is what all values allow,
so a dose may be whole in one experiment and not in another: numbers of different widths become wider ones.
Text in one experiment and numbers in another are an error, for one of the two is a mistake.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pa_compute
from numpy.typing import NDArray

from viscy_data.errors import InvalidInputError
from viscy_data.tables.own_columns.fields import Level
from viscy_data.text import shown

TEXT: Final = pa.dictionary(pa.int32(), pa.string())
"""How text is held."""
EXACT: Final = 2**53
"""Up to here floats hold all whole numbers: readers make floats of whole numbers where some are missing."""
MOST_VALUES: Final = 100
"""Values of a column of text that are remembered; of one that has more, how many there are."""

type Kind = Literal["text", "number", "unknown"]


@dataclass(frozen=True)
class OwnColumn:
    """What is known of one column.

    Attributes
    ----------
    name
        Its name.
    level
        Whether it says something of an experiment, a well, a cell, or comes with the tracks.
    type
        ``text``, or the width of its numbers; ``null`` where no row has a value.
    source
        The file that it comes from, or the key of the experiments file.
    nulls
        Rows without a value.
    values
        Of text, sorted; None: more than `MOST_VALUES`, or numbers.
    distinct
        How many different texts there are, in the experiment that has most.
    least, most
        Of numbers.
    """

    name: str
    level: Level
    type: str
    source: str
    nulls: int
    values: tuple[str, ...] | None = None
    distinct: int = 0
    least: float | None = None
    most: float | None = None

    @classmethod
    def of(cls, name: str, level: Level, source: str, column: Any) -> Self:
        """Describe a column as one experiment has it."""
        nulls = int(column.null_count)
        if pa.types.is_null(column.type) or nulls == len(column):
            return cls(name, level, "null", source, nulls)
        if pa.types.is_dictionary(column.type):
            found = sorted(set(column.dictionary.filter(pa.array(occurring(column))).drop_null().to_pylist()))
            values = tuple(found) if len(found) <= MOST_VALUES else None
            return cls(name, level, "text", source, nulls, values, len(found))
        least, most = ends_of(column)
        return cls(name, level, str(column.type), source, nulls, None, 0, least, most)

    @property
    def kind(self) -> Kind:
        """Whether it holds text or numbers."""
        return "unknown" if self.type == "null" else "text" if self.type == "text" else "number"

    @property
    def arrow_type(self) -> Any:
        """The type that Arrow calls it."""
        if self.kind == "number":
            return pa.type_for_alias(self.type)
        return TEXT

    @property
    def range(self) -> str:
        """Its values or their range, for people."""
        if self.kind == "unknown":
            return "no value"
        if self.kind == "number":
            return f"{self.least:g} to {self.most:g}"
        if self.values is None:
            return f"{self.distinct:,} or more values"
        more = f" and {len(self.values) - 6} more" if len(self.values) > 6 else ""
        return ", ".join(map(shown, self.values[:6])) + more

    def as_dict(self) -> dict[str, Any]:
        """Return it as the metadata of an anchors table hold it."""
        held = {"level": self.level, "type": self.type, "nulls": self.nulls}
        ends = {"values": self.values and list(self.values), "least": self.least, "most": self.most}
        return held | {name: value for name, value in ends.items() if value is not None}


def tidied(column: Any, where: str) -> Any:
    """Return a column of a file as one chunk of text or numbers; what is not a number is null.

    Raises
    ------
    InvalidInputError
        Where it holds lists, or other things that are neither; ``where`` names file and column.
    """
    kind = column.type
    types = pa.types
    if types.is_floating(kind):
        column = column.cast(pa.float32()) if kind == pa.float16() else column
        found = pa_compute.if_else(pa_compute.is_nan(column), None, column)
    elif types.is_null(kind):
        found = column
    elif types.is_integer(kind) or (types.is_decimal(kind) and kind.scale == 0):
        text = not is_exact(column)
        found = column.cast(pa.string()).dictionary_encode() if text else column
        found = found.cast(pa.int64()) if types.is_decimal(kind) and not text else found
    elif types.is_decimal(kind):
        found = column.cast(pa.float64())
    elif types.is_boolean(kind) or types.is_temporal(kind):
        found = column.cast(pa.string()).dictionary_encode()
    elif _is_text(kind) or (types.is_dictionary(kind) and _is_text(kind.value_type)):
        found = column if types.is_dictionary(kind) else column.dictionary_encode()
        found = found.cast(TEXT)
    elif types.is_dictionary(kind):
        return tidied(column.cast(kind.value_type), where)
    else:
        raise InvalidInputError(f"{where} holds {kind}: text or numbers are needed; leave it out")
    return one_chunk(found)


def is_exact(column: Any) -> bool:
    """Return whether floats hold all values of a column of whole numbers."""
    return all(abs(end or 0) <= EXACT for end in ends_of(column))


def ends_of(column: Any) -> tuple[Any, Any]:
    """Return the least and the largest value of numbers; None where there is none."""
    plain = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    if plain and len(column) and not column.null_count:
        values = column.to_numpy()  # NumPy finds them in a tenth of the time
        return values.min().item(), values.max().item()
    ends = pa_compute.min_max(column)
    return ends["min"].as_py(), ends["max"].as_py()


def narrowed(column: Any) -> Any:
    """Return whole numbers in 32 bits, where they fit: they are written and read in half the time."""
    if column.type != pa.int64():
        return column
    least, most = ends_of(column)
    ends = np.iinfo(np.int32)
    fits = least is not None and ends.min <= least and most <= ends.max
    return column.cast(pa.int32(), safe=False) if fits else column


def occurring(column: Any) -> NDArray[np.bool_]:
    """Return which values of its dictionary (n,) a column of text has."""
    codes = column.indices.drop_null() if column.null_count else column.indices
    occurs = np.zeros(len(column.dictionary), dtype=np.bool_)
    occurs[codes.to_numpy()] = True
    return occurs


def trimmed(column: Any) -> Any:
    """Return a tidied column whose texts neither begin nor end with blanks; what is blank is null."""
    if not pa.types.is_dictionary(column.type):
        return column
    texts = pa_compute.utf8_trim_whitespace(column.dictionary)
    texts = pa_compute.if_else(pa_compute.equal(texts, ""), None, texts)
    if texts.equals(column.dictionary):
        return column
    return texts.take(column.indices).dictionary_encode().cast(TEXT)


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def constant(value: str | float | bool, count: int) -> Any:
    """Return a column of one value."""
    if isinstance(value, bool | str):
        text = value if isinstance(value, str) else str(value).lower()
        return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([text])).cast(
            TEXT
        )
    return pa.array(np.full(count, value))


def filled(column: Any, value: str | float | bool, where: str) -> Any:
    """Return a column with a value in the place of nulls.

    Raises
    ------
    InvalidInputError
        Where the value is text and the column holds numbers, or the other way round; ``where`` names both.
    """
    if column.null_count == len(column):
        return constant(value, len(column))
    is_text = pa.types.is_dictionary(column.type)
    if is_text != isinstance(value, bool | str):
        raise InvalidInputError(
            f"{where} holds {'text' if is_text else 'numbers'}, and fill={value!r} is of another kind; "
            "give one of the same"
        )
    if not column.null_count:
        return column
    if not isinstance(value, bool | str):
        return pa_compute.fill_null(column.cast(_with_room(column.type, value)), value)
    text = value if isinstance(value, str) else str(value).lower()
    names = column.dictionary.to_pylist()
    if text not in names:
        names.append(text)
    codes = column.indices.fill_null(names.index(text))
    return pa.DictionaryArray.from_arrays(codes, pa.array(names, pa.string())).cast(TEXT)


def _with_room(kind: Any, value: float) -> Any:
    """Return the type, or a wider one, that can hold a value, too."""
    if pa.types.is_floating(kind):
        return kind if abs(value) <= float(np.finfo(kind.to_pandas_dtype()).max) else pa.float64()
    if not float(value).is_integer():
        return pa.float64()
    ends = np.iinfo(kind.to_pandas_dtype())
    return kind if ends.min <= value <= ends.max else pa.int64()


def one_chunk(column: Any) -> Any:
    """Return a column as one array, of one dictionary."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def joined_tables(tables: Sequence[Any]) -> Any:
    """Return Arrow tables of the same columns, one after the other, each column tidied and of one type.

    Raises
    ------
    InvalidInputError
        Where a column is text in one and numbers in another.
    """
    columns = {}
    for name in tables[0].column_names:
        parts = [tidied(table[name], f"column {name!r} of the tracks") for table in tables]
        kinds = [OwnColumn.of(name, "track", "", part).type for part in parts]
        kind = "null"
        for one in kinds:
            found = common_type(kind, one)
            if found is None:
                raise InvalidInputError(
                    f"track_columns: column {name!r} holds text in some files of the tracks and numbers in "
                    "others; mend the files, or leave it out"
                )
            kind = found
        whole = OwnColumn(name, "track", kind, "", 0).arrow_type if kind != "null" else pa.null()
        columns[name] = one_chunk(pa.chunked_array([_cast(part, whole) for part in parts], whole))
    return pa.table(columns)


def common_type(first: str, second: str) -> str | None:
    """Return the type that holds the values of two; None where one holds text and the other numbers.

    Examples
    --------
    >>> common_type("int64", "double"), common_type("null", "text"), common_type("text", "int64")
    ('double', 'text', None)
    """
    if first == second or "null" in (first, second):
        return first if second == "null" else second
    if "text" in (first, second):
        return None
    return "double" if {"float", "double"} & {first, second} else "int64"


def united(columns: Sequence[tuple[str, Sequence[OwnColumn]]]) -> tuple[OwnColumn, ...]:
    """Return each column as all experiments have it together, in the order in which names come first.

    Parameters
    ----------
    columns
        Names of experiments, with what each has.

    Raises
    ------
    InvalidInputError
        Where a column is text in one experiment and numbers in another, or has two levels.
    """
    found: dict[str, OwnColumn] = {}
    first: dict[str, str] = {}
    problems = []
    for experiment, own in columns:
        for column in own:
            before = found.get(column.name)
            kind = column.type if before is None else common_type(before.type, column.type)
            if before is None:
                found[column.name], first[column.name] = column, experiment
            elif kind is None:
                problems.append(_differs(first[column.name], before, experiment, column))
            else:
                found[column.name] = _both(before, column, kind)
    if problems:
        raise InvalidInputError("; ".join(problems))
    return tuple(found.values())


def _differs(first: str, before: OwnColumn, experiment: str, column: OwnColumn) -> str:
    said = (
        f"{one.source}: column {one.name!r} of experiment {name!r} holds {_example(one)}"
        for name, one in ((first, before), (experiment, column))
    )
    return f"{', but '.join(said)}: one type is needed in all experiments; mend one, or rename it"


def _example(column: OwnColumn) -> str:
    if column.kind == "number":
        return f"numbers ({column.range})"
    return f"text ({column.range})"


def _both(first: OwnColumn, second: OwnColumn, kind: str) -> OwnColumn:
    values = [one.values for one in (first, second) if one.kind == "text"]
    together = sorted({value for one in values for value in one or ()})
    whole = bool(values) and None not in values and len(together) <= MOST_VALUES
    numbers = [one for one in (first, second) if one.kind == "number"]
    return OwnColumn(
        first.name,
        first.level,
        kind,
        first.source,
        first.nulls + second.nulls,
        tuple(together) if whole else None,
        max(first.distinct, second.distinct, len(together)),
        min((one.least for one in numbers if one.least is not None), default=None),
        max((one.most for one in numbers if one.most is not None), default=None),
    )


def with_columns(table: Any, columns: Sequence[OwnColumn], place: int) -> Any:
    """Return a table whose columns from ``place`` on are those of all experiments; null where it has none."""
    fixed, last = table.columns[:place], table.columns[-1]
    names = [*table.schema.names[:place], *(one.name for one in columns), table.schema.names[-1]]
    own = [
        _cast(table[one.name], one.arrow_type)
        if one.name in table.schema.names
        else pa.nulls(table.num_rows, one.arrow_type)
        for one in columns
    ]
    return pa.table([*fixed, *own, last], names=names)


def _cast(column: Any, kind: Any) -> Any:
    if column.type == kind:
        return column
    return pa.nulls(len(column), kind) if column.null_count == len(column) else column.cast(kind)
