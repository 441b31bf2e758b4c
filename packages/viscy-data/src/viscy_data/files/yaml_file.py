"""YAML, strictly and within bounds: what it means is what it says, and reading it ends.

YAML can say much in little. Nine aliases of nine aliases unpack to a billion values, a hundred thousand
brackets end the parser's stack, ``12:30`` is the number 750 and ``010`` is 8. So a file is looked at before
values are made of it: its bytes, how deep it nests, and how many values it has with all aliases written out.
A key given twice is an error rather than the last one winning, and numbers that other programs read
otherwise are refused with the key that they are written under. The look costs as much as the reading.
"""

import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from viscy_data.errors import ExperimentsFileError
from viscy_data.text import shown, shown_lines

MOST_BYTES: Final = 16 << 20
MOST_DEEP: Final = 50
MOST_VALUES: Final = 1_000_000
"""Values of a file with all aliases written out."""

if TYPE_CHECKING:
    _Fast = yaml.SafeLoader
else:  # a tenth of the time, where it is built
    _Fast = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_MOST_DIGITS: Final = 300
_NUMBERS: Final = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
# What is a number to YAML 1.1 and another one, or none, to people and to YAML 1.2.
_SURPRISING: Final = re.compile(r"[-+]?(\d[\d_]*(:[0-5]?\d)+(\.\d*)?|0[0-7_]+)")


def read_yaml(path: Path, what: str = "experiments file") -> Any:
    """Return the content of a YAML file as plain values; ``what`` it is, for errors.

    Raises
    ------
    ExperimentsFileError
        Where the file cannot be read, is not valid YAML, exceeds the bounds of this module, or gives a key
        twice.
    """
    text = _read(path, what)
    try:
        return load_yaml(text)
    except Exception as error:  # of a malformed scalar the parser raises whatever comes of it
        raise ExperimentsFileError(f"{shown(path, 300)}: not valid YAML: {shown_error(error)}") from error


def load_yaml(text: str) -> Any:
    """Return the values of a YAML document, within the bounds of this module.

    Raises
    ------
    yaml.YAMLError
        Saying what is wrong with it, and where.

    Examples
    --------
    >>> load_yaml("a: [1, 2]")
    {'a': [1, 2]}
    >>> load_yaml("start_hpi: 12:30")
    Traceback (most recent call last):
        ...
    yaml.constructor.ConstructorError: start_hpi=12:30 is a number of base 60 or 8 to YAML; write ...
    """
    check_bounds(text)
    loader = _StrictLoader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def check_bounds(text: str) -> None:
    """Refuse a YAML text that nests too deep or unpacks to too much; no value is made.

    Raises
    ------
    yaml.YAMLError
        Naming the bound.
    """
    sizes: dict[str, int] = {}  # of what an anchor repeats, with its aliases written out
    opened: list[tuple[str | None, int]] = []  # anchor, and values before it, of what is open
    values = 0
    for event in yaml.parse(text, Loader=_Fast):
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            if anchor is not None:
                sizes[anchor] = values - before
        elif isinstance(event, yaml.NodeEvent):
            values += _size(event, sizes, opened)
            if isinstance(event, yaml.CollectionStartEvent):
                opened.append((event.anchor, values - 1))
            elif isinstance(event, yaml.ScalarEvent) and event.anchor is not None:
                sizes[event.anchor] = 1
        if len(opened) > MOST_DEEP:
            raise _error(event, f"lists and mappings are nested deeper than {MOST_DEEP}; flatten them")
        if values > MOST_VALUES:
            raise _error(event, f"more than {MOST_VALUES:,} values, aliases written out; split the file")


def _size(event: Any, sizes: dict[str, int], opened: list[tuple[str | None, int]]) -> int:
    """Return how many values an event begins, or repeats as an alias."""
    if not isinstance(event, yaml.AliasEvent):
        return 1
    if event.anchor in (anchor for anchor, _ in opened):
        raise _error(event, f"*{shown(event.anchor)} lies inside what it repeats; write it out")
    return sizes.get(str(event.anchor), 1)


def shown_error(error: BaseException) -> str:
    """Return what a parser found, within some lines."""
    return shown_lines(error, 2000) if str(error) else type(error).__name__


def _error(event: Any, why: str) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, why, event.start_mark)


def _read(path: Path, what: str) -> str:
    name = f"path={shown(path, 300)!r}"
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ExperimentsFileError(
                f"{name}: the {what} cannot be read: it is a folder or a device; name a YAML file."
            )
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, ExperimentsFileError):
            raise
        why = getattr(error, "strerror", None) or error
        raise ExperimentsFileError(f"{name}: the {what} cannot be read: {why}") from error
    if len(content) > MOST_BYTES:
        raise ExperimentsFileError(
            f"{name}: the {what} cannot be read: it has more than {MOST_BYTES >> 20} MB; is it the right one?"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ExperimentsFileError(
            f"{name}: the {what} cannot be read: {error}; it must be text in UTF-8. Is it the right file?"
        ) from error


class _StrictLoader(_Fast):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        own = [pair for pair in node.value if pair[0].tag != "tag:yaml.org,2002:merge"]
        seen: set[Any] = set()
        for key_node, value_node in own:
            _check_number(key_node, "key ")
            key = self.construct_object(key_node, deep=True)
            try:
                twice = key in seen
            except TypeError:  # a list, which the parent class refuses as a key
                continue
            if twice:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {shown(repr(key))} is given twice", key_node.start_mark
                )
            seen.add(key)
            for one in value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]:
                _check_number(one, f"{shown(key)}=")
        return super().construct_mapping(node, deep=deep)


_refuse: Any = yaml.SafeLoader.construct_undefined
for _kind in ("binary", "omap", "pairs", "set"):  # nothing that we read holds them
    _StrictLoader.add_constructor(f"tag:yaml.org,2002:{_kind}", _refuse)


def _check_number(node: yaml.Node, name: str) -> None:
    """Refuse a number that says another one to people, or one of thousands of digits."""
    if node.tag not in _NUMBERS:
        return
    if _SURPRISING.fullmatch(node.value):
        raise yaml.constructor.ConstructorError(
            None,
            None,
            f"{name}{shown(node.value)} is a number of base 60 or 8 to YAML; write a plain one, or put it in "
            "quotes if it is text",
            node.start_mark,
        )
    if len(node.value) > _MOST_DIGITS:
        raise yaml.constructor.ConstructorError(
            None, None, f"{name}{shown(node.value, 40)} has too many digits", node.start_mark
        )
