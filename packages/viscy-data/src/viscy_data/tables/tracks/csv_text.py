"""Text tables of whatever program wrote them, as Arrow reads them, within stated bounds.

Programs differ in what separates columns and decimals, in what comes before the header and below it, and
in how the text is encoded; and a file may be damaged, or made to hurt: a quote that is never closed swallows
the rest of a file as one cell, a gzipped file of 20 MB may unpack to 20 GB of nothing, a single cell may be
larger than memory. So the beginning of the file says how to read it (:class:`Dialect`), and all of it
goes through :class:`_Stream`, which looks at each block before Arrow parses it, and refuses it by line.

A cell over several lines is never meant, so in the end there must be as many rows as lines: where a quote
took some of them into a cell, the line that opens it is named.

Looking costs a few passes over the bytes of each block, a hundredth of what parsing does.
"""

import codecs
import csv
import gzip
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from viscy_data.columns import FOV, MISSING_WORDS, X, Y
from viscy_data.errors import TracksError
from viscy_data.tables.lineage import BoolArray

LONGEST_LINE: Final = 1 << 20
"""Bytes of a line."""
UNPACKED_RATIO: Final = 100
"""Bytes that one byte of a file may unpack to: in real tables it is 3 to 20, in files of nothing 1000."""
UNPACKED_FREE: Final = 1 << 26
"""Bytes up to which that does not matter; a gzipped file is looked at for each stretch of as many."""

_BLOCK: Final = 1 << 20
_SEPARATORS: Final = (",", ";", "\t", "|")
_DECIMAL_COMMA: Final = re.compile(r"\s*[+-]?\d+,\d+\s*$")
_TITLES: Final = 3
_NEWLINE, _RETURN, _QUOTE = b'\n\r"'
_BOMS: Final = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_FOV_TYPE: Final = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True)
class Dialect:
    """How one file is written.

    Attributes
    ----------
    names
        The columns' names, as they are written there.
    skipped
        Lines up to the first row: comments, the header, and titles below it.
    filled
        Those of them that are not empty.
    separator, decimal
        Between columns, and in numbers.
    unit
        Unit of places that a title states; empty: none.
    """

    names: tuple[str, ...]
    skipped: int
    filled: int
    separator: str
    decimal: str
    unit: str = ""


def check_unpacked(path: Path, unpacked: int, packed: int) -> None:
    """Refuse a file, or a stretch of one, that unpacks to more than a table of tracks does.

    Raises
    ------
    TracksError
        Naming the file and the bound.
    """
    if unpacked > max(UNPACKED_FREE, UNPACKED_RATIO * packed):
        raise TracksError(
            f"{path}: {packed} bytes of it unpack to {unpacked}: beyond {UNPACKED_FREE >> 20} MiB at most "
            f"{UNPACKED_RATIO} for each byte are read. No table of tracks is like that; write it again, "
            "without "
            "compression if it has to be."
        )


def read_dialect(path: Path, file_names: Mapping[str, str]) -> Dialect:
    """Find out how a text table is written, from its beginning.

    Parameters
    ----------
    path
        The file.
    file_names
        What the file calls our columns.

    Raises
    ------
    TracksError
        Where it is empty, or its header is longer than a line may be.
    """
    with _open(path) as stream:
        start = stream.read(_BLOCK)
    text = start.decode("utf-8", errors="replace")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")  # no other ends, as Arrow
    if len(start) == _BLOCK:
        lines = lines[:-1]  # it may be cut
    header, stated = _header_line(lines)
    if header >= len(lines) and len(start) == _BLOCK:
        raise TracksError(
            f"{path}: line {len(lines) + 1}: longer than {LONGEST_LINE >> 20} MiB; is it a table?"
        )
    if header >= len(lines):
        raise TracksError(f"{path}: the tracking table cannot be read: it has no header; is it empty?")
    wanted = set(file_names.values())
    separators = (stated,) if stated else _SEPARATORS
    rows = {one: _split(lines[header], one) for one in separators}
    separator = max(separators, key=lambda one: len(wanted.intersection(rows[one])) * 1000 + len(rows[one]))
    names = rows[separator]
    sample = [_split(line, separator) for line in lines[header + 1 : header + 200] if line.strip()]
    places = [names.index(file_names[one]) for one in (Y, X) if file_names[one] in names]
    titles, unit = _titles(sample, places)
    numbers = [row[i] for row in sample[titles:] for i in places if i < len(row)]
    comma = separator != "," and any(map(_DECIMAL_COMMA.match, numbers))
    skipped = header + 1 + titles
    filled = sum(map(bool, lines[:skipped]))
    return Dialect(tuple(names), skipped, filled, separator, "," if comma else ".", unit)


def read_csv(path: Path, dialect: Dialect, columns: Mapping[str, str], texts: Sequence[str] = ()) -> Any:
    """Return some columns of a text table as an Arrow table.

    Parameters
    ----------
    path, dialect
        The file, and how it is written.
    columns
        What the file calls our columns; those that are asked for, each there once.
    texts
        Those of our columns that hold names, which stay as they are written: 001 is another than 1.

    Raises
    ------
    TracksError
        Where a line has a quote that is not closed, is too long, or the file unpacks to too much.
    """
    ours = {name: own for own, name in columns.items()}
    ragged: list[Any] = []

    def keep(row: Any) -> str:
        ragged.append(row)
        return "error"

    # Columns that are not asked for may have one name between them: they are called by their places.
    names = [ours.get(name, f"column {i}") for i, name in enumerate(dialect.names)]
    try:
        with _open(path) as stream:
            table = pa_csv.read_csv(
                pa.PythonFile(stream, mode="r"),
                read_options=pa_csv.ReadOptions(
                    column_names=names, skip_rows=dialect.skipped, block_size=LONGEST_LINE
                ),
                parse_options=pa_csv.ParseOptions(delimiter=dialect.separator, invalid_row_handler=keep),
                convert_options=pa_csv.ConvertOptions(
                    include_columns=[name for name in names if name in columns],
                    column_types={FOV: _FOV_TYPE} | dict.fromkeys(texts, pa.string()),
                    strings_can_be_null=True,
                    null_values=MISSING_WORDS,
                    decimal_point=dialect.decimal,
                ),
            )
            if table.num_rows != stream.lines - dialect.filled:
                _refuse_swallowed(path, dialect, table.num_rows, stream.lines - dialect.filled)
            return table
    except pa.ArrowInvalid as error:
        if not ragged:
            raise
        row = ragged[0]
        more = row.actual_columns > row.expected_columns and dialect.separator == ","
        hint = "; are decimals written with commas? Then separate columns by ';'" if more else ""
        raise TracksError(
            f"{path}: {_line_of(path, row.text)}: {row.actual_columns} cells, and the header names "
            f"{row.expected_columns}{hint}"
        ) from error


def _refuse_swallowed(path: Path, dialect: Dialect, rows: int, lines: int) -> None:
    """Refuse a table of fewer rows than lines, by the first line that opens a quote and does not close it."""
    other = f"[^{re.escape(dialect.separator)}]*+"
    cell = f'(?:"(?:[^"]|"")*+"{other}|(?!"){other})'
    closed = re.compile(f"{cell}(?:{re.escape(dialect.separator)}{cell})*+".encode())
    opened = (
        n for n, line in enumerate(_lines(path), start=1) if b'"' in line and not closed.fullmatch(line)
    )
    first = next(opened, None)
    where = f'line {first}: a quote (") is opened and not closed on the line' if first else 'quotes (")'
    raise TracksError(
        f"{path}: {where}: its {lines} lines would be read as {rows} rows; close each quote on its line, or "
        "leave it out"
    )


def _line_of(path: Path, text: str) -> str:
    """Return the first line that is ``text``, by its number."""
    found = (n for n, line in enumerate(_lines(path), start=1) if line == text.encode())
    number = next(found, None)
    return f"line {number}" if number else "a line"


def _lines(path: Path) -> Iterator[bytes]:
    """Yield a file's lines without their ends."""
    rest = b""
    with _open(path) as stream:
        while block := stream.read():
            *lines, rest = (rest + block).splitlines(keepends=True)
            yield from (line.rstrip(b"\r\n") for line in lines)
    if rest:
        yield rest.rstrip(b"\r\n")


def _open(path: Path) -> "_Stream":
    return _Stream(path, path.open("rb"), packed=path.name.lower().endswith(".gz"))


class _Stream(io.RawIOBase):
    """A file's text as UTF-8, block by block, each looked at before it is handed on."""

    def __init__(self, path: Path, file: IO[bytes], *, packed: bool) -> None:
        self._path, self._raw = path, file
        self._file: Any = gzip.GzipFile(fileobj=file) if packed else file
        self._packed = packed
        self._unpacked = self._taken = 0  # bytes read, and bytes of the file they came from, in this stretch
        try:
            start = self._file.read(4)
        except (OSError, EOFError):
            file.close()
            raise
        encoding = next((name for bom, name in _BOMS if start.startswith(bom)), None)
        self._decoder = codecs.getincrementaldecoder(encoding)() if encoding else None
        self._ahead = start.removeprefix(codecs.BOM_UTF8)
        self._before = 0  # bytes handed on
        self._quotes = self._unfinished = 0  # quotes and bytes of that line, so far
        self.lines = 0  # begun and not empty, so far
        self._in_line = False  # whether the last byte was of one

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next block, of at most ``size`` bytes; empty at the end."""
        size = _BLOCK if size < 0 else size
        raw = self._ahead + self._file.read(max(0, (size // 2 if self._decoder else size) - len(self._ahead)))
        self._ahead = b""
        if self._packed:
            self._look_at_size(len(raw))
        # Two bytes of UTF-16 are at most three of UTF-8: half as many fit.
        block = self._decoder.decode(raw, final=not raw).encode() if self._decoder else raw
        if raw and not block:
            return self.read(size)
        self._look(block)
        return block

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._raw.close()
        super().close()

    def _look_at_size(self, size: int) -> None:
        """Refuse a stretch of the file that unpacks to too much."""
        self._unpacked += size
        if self._unpacked > UNPACKED_FREE:
            place = self._raw.tell()
            check_unpacked(self._path, self._unpacked, place - self._taken)
            self._unpacked, self._taken = 0, place

    def _look(self, block: bytes) -> None:
        """Refuse a line that is too long, or whose quotes are not closed."""
        values = np.frombuffer(block, dtype=np.uint8)
        ended = values == _NEWLINE
        if b"\r" in block:
            ended |= values == _RETURN
        if len(block):
            begins = ended[:-1] > ended[1:]
            self.lines += int(np.count_nonzero(begins)) + int(not self._in_line and not ended[0])
            self._in_line = not ended[-1]
        if self._quotes or b'"' in block:
            self._look_at_quotes(block, ended)
        end = max(block.rfind(b"\n"), block.rfind(b"\r")) + 1
        self._unfinished = len(block) - end + (0 if end else self._unfinished)
        if self._unfinished > LONGEST_LINE:
            raise TracksError(
                f"{self._path}: line {self._line_at(block)}: longer than {LONGEST_LINE >> 20} MiB; no "
                "table of tracks needs that: is the file damaged, or has it a cell that you can leave out?"
            )
        self._before += len(block)

    def _look_at_quotes(self, block: bytes, ended: BoolArray) -> None:
        values = np.frombuffer(block, dtype=np.uint8)
        ends = np.flatnonzero(ended)
        before = np.searchsorted(np.flatnonzero(values == _QUOTE), np.append(ends, len(values)))
        counts = np.diff(before, prepend=0)  # quotes of each line that ends here, and of what is left
        counts[0] += self._quotes
        self._quotes = int(counts[-1])
        # At the end of the file, what is left ends too.
        odd = np.flatnonzero(counts[: -1 if block else None] % 2)
        if len(odd):
            place = int(ends[odd[0]]) if odd[0] < len(ends) else len(block)
            raise TracksError(
                f'{self._path}: line {self._line_at(block[:place])}: a quote (") is opened and not closed on '
                "the line, so that what follows would be read as one cell; close it, or leave it out"
            )

    def _line_at(self, block: bytes) -> int:
        """Return the number of the line that a beginning of the next block ends in: for messages."""
        count, left, last = 1, self._before, b""
        with _open(self._path) as again:
            while left and (one := again.read(min(left, _BLOCK))):
                count, left, last = count + _ends(last + one) - _ends(last), left - len(one), one[-1:]
        return count + _ends(last + block) - _ends(last)


def _ends(text: bytes) -> int:
    """Return how many ends of lines a text has."""
    return text.count(b"\n") + text.count(b"\r") - text.count(b"\r\n")


def _header_line(lines: Sequence[str]) -> tuple[int, str]:
    """Return the place of the header among a file's first lines, and the separator stated before it."""
    stated = ""
    for place, line in enumerate(lines):
        if match := re.fullmatch(r"\s*sep=(.)\s*", line):  # how spreadsheets are told
            stated = match[1]
        elif line.strip() and not line.lstrip().startswith("#"):
            return place, stated
    return len(lines), stated


def _split(line: str, separator: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
    except csv.Error:  # a cell that is longer than it takes
        return [cell.strip() for cell in line.split(separator)]


def _titles(rows: Sequence[Sequence[str]], places: Sequence[int]) -> tuple[int, str]:
    """Return how many rows of titles follow the header, and the unit of places that the last states.

    TrackMate writes three, of names and units; in each both places are words.
    """
    cells = [[row[i] for i in places if i < len(row)] for row in rows[:_TITLES]]
    words = [len(own) == 2 and all(cell and not _is_number(cell) for cell in own) for own in cells]
    if len(words) < _TITLES or not all(words):
        return 0, ""
    units = {cell.strip("() ") for cell in cells[-1]}
    return _TITLES, units.pop() if len(units) == 1 else ""


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True
