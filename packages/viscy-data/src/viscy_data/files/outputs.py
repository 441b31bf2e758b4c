"""Where a command may write: what it may replace, and what it never touches.

A mistyped output is the one error that cannot be undone: ``-o`` followed by the raw data, a device, the input
itself or a folder of somebody's thesis. So an output is looked at before work starts, by one set of rules.
What is there already is replaced only where it was asked for *and* this program made it, which a *mark*
says: an attribute of a Zarr group, a key in the metadata of a Parquet file or of a model's, ``made_by`` at
the head of a page or of JSON, a file in any other folder. Links, devices, mounts, the home and everything
that holds an input of the command are never replaced. A file without content holds nothing to be lost.

Outputs of versions that wrote no marks are refused like anybody else's: remove them once, by hand.
"""

import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

from viscy_data.errors import InvalidInputError, OutputError
from viscy_data.files.locks import only_writer
from viscy_data.files.whole import clear_leftovers, plain_write_errors, whole_file
from viscy_data.text import shown

type Kind = Literal["file", "folder"]

MADE_BY: Final = "made_by"
"""Key of the mark in JSON and in attributes; its value begins with "viscy-"."""
PARQUET_MARK: Final = b"viscy_data"
"""What the metadata of our Parquet files hold a key of, or one that begins with it."""
MARK_FILE: Final = ".made_by_viscy"
"""File that marks a folder which is no Zarr group."""

_HEAD: Final = 4096
_MOST: Final = 64 << 20
_ZARR: Final = ("zarr.json", ".zgroup", ".zarray")
# where `marked` and the templates of our pages put it: what merely mentions it is somebody's text
_TEXT_MARK: Final = re.compile(
    rb"""\s*(?:\[\s*)?\{\s*"made_by"\s*:\s*"viscy-
    |\s*<!doctype\ html>\s*<html[^>]{0,50}>\s*<head>\s*(?:<meta\ charset[^>]{0,50}>\s*)?
     <meta\ name="made_by"\ content="viscy-""",
    re.VERBOSE,
)
# safetensors: the length of the header, then the header, whose metadata come first
_TENSORS_MARK: Final = re.compile(rb"""[\s\S]{8}\{"__metadata__":\{"viscy-""")
# ONNX: the version of the format, then who wrote it
_GRAPH_MARK: Final = re.compile(rb"\x08[\x00-\x7f]\x12[\x00-\x7f]viscy-")


@contextmanager
def claimed(
    path: str | Path,
    *,
    kind: Kind = "file",
    argument: str = "out",
    overwrite: bool = True,
    inputs: Iterable[str | Path] = (),
    make_parents: bool = False,
) -> Iterator[Path]:
    """Give an output that may be written, to this process alone until the block ends.

    What killed runs left of it is removed first.

    Parameters
    ----------
    path
        The output; the folder that it goes into exists.
    kind
        Whether it is a file or a folder, such as a store.
    argument
        What the user knows it by.
    overwrite
        Whether something of our making may be replaced.
    inputs
        What the command reads.
    make_parents
        Make the folder that it goes into.

    Raises
    ------
    InvalidInputError
        There is something that is not to be replaced, or another process is writing it.
    OutputError
        Nothing can be written there.
    """
    path = Path(path)
    inputs = list(inputs)
    options: dict[str, Any] = {"kind": kind, "argument": argument, "overwrite": overwrite, "inputs": inputs}
    check_output(path, **options, make_parents=make_parents)
    if make_parents:
        with plain_write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
    with only_writer(path, argument):
        check_output(path, **options)  # another process may have finished it meanwhile
        clear_leftovers(path)
        yield path


def write_text(
    path: str | Path, content: str, *, argument: str = "out", inputs: Iterable[str | Path] = ()
) -> None:
    """Write a file that bears a mark already, in place of an older one of our making; see `claimed`."""
    with claimed(path, argument=argument, inputs=inputs) as out, whole_file(out) as beside:
        beside.write_text(content, encoding="utf-8")


def check_output(
    path: str | Path,
    *,
    kind: Kind = "file",
    argument: str = "out",
    overwrite: bool = True,
    inputs: Iterable[str | Path] = (),
    make_parents: bool = False,
) -> None:
    """Refuse an output that may not be written; parameters and errors are those of `claimed`."""
    path = Path(path)
    name = f"{argument}={shown(path, 300)!r}"
    _check_name(path, name)
    for one in inputs:
        if _is_or_holds(path, Path(one)):
            raise InvalidInputError(
                f"{name} is what the command reads, or holds it: {shown(one, 300)!r}; choose another name."
            )
    status = _status(path, name)
    check_outside_stores(path, name)
    if status is None:
        _check_folder(_first_folder(path, name) if make_parents else path.parent, name)
        return
    _check_kind(path, status, kind, name)
    if not overwrite:
        raise InvalidInputError(f"{name} exists; say --overwrite (overwrite=True), or choose another name.")
    if not is_ours(path):
        raise InvalidInputError(
            f"{name} exists and bears no mark of this program, so it is not replaced; choose another name, "
            "or remove it yourself if it is not needed."
        )
    _check_folder(path.parent, name)


def is_ours(path: Path) -> bool:
    """Return whether a file or a folder bears a mark, or holds nothing."""
    try:
        if path.is_dir():
            return _is_marked_group(path) or (path / MARK_FILE).is_file() or not any(path.iterdir())
        return _is_marked_file(path)
    except OSError:
        return False


def mark_folder(folder: Path) -> None:
    """Mark a folder that is no Zarr group as one of our making, with what it holds."""
    content = json.dumps(marked({"holds": [_digest(folder)]}), indent=1)
    (folder / MARK_FILE).write_text(content, encoding="utf-8")


def marked(content: dict[str, Any], program: str = "viscy-data") -> dict[str, Any]:
    """Return what is to be written as JSON, with a mark at its head.

    Examples
    --------
    >>> marked({"a": 1})
    {'made_by': 'viscy-data', 'a': 1}
    """
    return {MADE_BY: program, **content}


def _is_marked_file(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head[:4] == b"PAR1":
        return _is_marked_parquet(path)
    return not head or any(mark.match(head) for mark in (_TEXT_MARK, _TENSORS_MARK, _GRAPH_MARK))


def _is_marked_parquet(path: Path) -> bool:
    import pyarrow.parquet as pa_parquet  # noqa: PLC0415 - slow to import

    try:
        keys = pa_parquet.read_metadata(path).metadata or {}
    except (ValueError, MemoryError, RuntimeError):
        return False
    return any(key.startswith(PARQUET_MARK) for key in keys)


def _is_marked_group(folder: Path) -> bool:
    path = folder / "zarr.json"
    if not path.is_file() or path.stat().st_size > _MOST:
        return False
    try:
        attributes = json.loads(path.read_bytes())["attributes"]
        return str(attributes[MADE_BY]).startswith("viscy-")
    except (ValueError, LookupError, TypeError, RecursionError):
        return False


def _check_name(path: Path, name: str) -> None:
    if "\0" in str(path):
        raise InvalidInputError(f"{name} holds the character \\x00, which no path does; write it without.")
    if path.name in ("", "-", ".."):
        raise InvalidInputError(f"{name} cannot be written to; give the name of a file or a folder.")


def _status(path: Path, name: str) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise OutputError(f"{name}: a file is where a folder is due; choose another place.") from error
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise OutputError(f"{name} cannot be written: {error.strerror}; choose another place.") from error


def _check_folder(folder: Path, name: str) -> None:
    """Refuse a folder that nothing can be written in."""
    if _status(folder, name) is None or not folder.exists():
        raise InvalidInputError(f"{name}: the folder {shown(folder, 300)!r} does not exist; make it.")
    if not folder.is_dir():
        raise OutputError(f"{name}: {shown(folder, 300)!r} is a file; choose another place.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            f"{name} cannot be written: the folder {shown(folder, 300)!r} is read-only, or may not be "
            "written by this user; choose another place."
        )


def _check_kind(path: Path, status: os.stat_result, kind: Kind, name: str) -> None:
    mode = status.st_mode
    if stat.S_ISLNK(mode):
        raise InvalidInputError(f"{name} is a link, which is not replaced; name what it points to.")
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InvalidInputError(f"{name} is a device, a pipe or a socket; give the name of a {kind}.")
    if stat.S_ISDIR(mode) != (kind == "folder"):
        there = "folder" if stat.S_ISDIR(mode) else "file"
        raise InvalidInputError(f"{name} is a {there}; give the name of a {kind}.")
    if kind == "folder" and (os.path.ismount(path) or _holds_a_home(path)):
        raise InvalidInputError(
            f"{name} is a mount, the working or the home folder, or holds it; choose another name."
        )


def _holds_a_home(folder: Path) -> bool:
    kept = [Path.cwd(), Path(os.path.expanduser("~")).absolute()]  # noqa: PTH111 - Path.home() may raise
    own = folder.resolve()
    return any(own == one.resolve() or own in one.resolve().parents for one in kept)


def _is_or_holds(path: Path, given: Path) -> bool:
    """Return whether an output is an input, a folder that holds it, or another name of it."""
    try:
        own, other = path.resolve(), given.resolve()
        return own == other or own in other.parents or path.samefile(given)
    except (OSError, ValueError, RuntimeError):  # one of them is not there, or cannot be
        return False


def check_outside_stores(path: Path, name: str) -> None:
    """Refuse an output inside a Zarr store: what is in there belongs to the store."""
    for folder in path.resolve().parents:
        if any(os.path.isfile(folder / one) for one in _ZARR):  # noqa: PTH113 - says no where none may enter
            raise InvalidInputError(
                f"{name} lies inside the Zarr store {shown(folder, 300)!r}, which stays as it is; choose "
                "another place."
            )


def check_outside(out: Path, inputs: Iterable[str | Path]) -> None:
    """Refuse an output folder that is one of the input folders, or lies inside one."""
    own = out.resolve()
    for one in inputs:
        given = Path(one).resolve()
        if own == given or given in own.parents:
            raise InvalidInputError(
                f"out={shown(out, 300)!r} lies inside {shown(one, 300)!r}, which the command reads; choose "
                "another folder."
            )


def check_reports(
    html: Path | None, json_path: Path | None, *, inputs: Iterable[str | Path | None] = ()
) -> None:
    """Refuse reports of a command that may not be written, before it begins; "-" prints JSON."""
    read = [one for one in inputs if one is not None]
    if html is not None:
        check_output(html, argument="html", inputs=read)
    if json_path is not None and json_path != Path("-"):
        if html is not None and html.absolute() == json_path.absolute():
            raise InvalidInputError(f"html and json are both {shown(html, 300)!r}; give two names.")
        check_output(json_path, argument="json", inputs=read)


def folder_named(out: str | Path) -> Path:
    """Return a folder to write in; no name at all is refused, which `Path` takes for the working folder.

    Examples
    --------
    >>> folder_named("plates").name
    'plates'
    """
    if not str(out):
        raise InvalidInputError("out='' cannot be written to; give the name of a folder, such as '.'.")
    return Path(out)


def check_entries(
    out: Path, entries: Sequence[str], *, overwrite: bool, inputs: Iterable[str | Path] = ()
) -> None:
    """Refuse a folder to write several entries in where one of them may not be written.

    The folder itself is nobody's: only entries are replaced, files where `list_entries` named them and
    folders where they bear a mark.

    Raises
    ------
    InvalidInputError, OutputError
        As `check_output` does.
    """
    name = f"out={shown(out, 300)!r}"
    _check_name(out / "entry", name)
    if out.name == "-" or out.absolute() == Path(out.anchor or "-"):
        raise InvalidInputError(f"{name} cannot be written to; give the name of a folder.")
    status = _status(out, name)
    check_outside_stores(out / "entry", name)
    if status is not None and not out.is_dir():
        raise InvalidInputError(f"{name} is a file; name a folder.")
    _check_folder(out if status is not None else _first_folder(out, name), name)
    present = [entry for entry in entries if os.path.lexists(out / entry)]
    for entry in entries:
        for one in inputs:
            if _is_or_holds(out / entry, Path(one)):
                raise InvalidInputError(
                    f"{name}: {shown(entry)} is what the command reads, or holds it: {shown(one, 300)!r}; "
                    "choose another folder."
                )
    if present and not overwrite:
        raise InvalidInputError(
            f"{name} already holds {', '.join(map(shown, present))}; say --overwrite (overwrite=True), or "
            "choose another folder."
        )
    listed = _listed(out)
    others = [entry for entry in present if not _is_our_entry(out / entry, listed)]
    if others:
        raise InvalidInputError(
            f"{name} holds {', '.join(map(shown, others))}, which bears no mark of this program, so it is "
            "not replaced; choose another folder, or remove it yourself if it is not needed."
        )
    edited = [entry for entry in present if _is_edited(out / entry, listed)]
    if edited:
        raise InvalidInputError(
            f"{name} holds {', '.join(map(shown, edited))}, which was edited since it was written, or has "
            "files added; move it away to keep it, or remove it, or choose another folder."
        )


def list_entries(out: Path, entries: Mapping[str, Path]) -> None:
    """Note in a folder which of its files are of our making, beside those noted before.

    ``entries`` says where each is now. Whatever was ever written under a name stays noted, so that a kill
    before the last one is in its place makes strangers of none.
    """
    noted = _listed(out)
    for name, path in entries.items():
        if path.is_file():
            noted[name] = sorted({*noted.get(name, []), _digest(path)})
    content = json.dumps(marked({"entries": noted}), indent=1)
    with whole_file(out / MARK_FILE) as beside:
        beside.write_text(content, encoding="utf-8")


def _listed(out: Path) -> dict[str, list[str]]:
    found = _read_mark(out, "entries")
    return {str(name): list(map(str, one)) for name, one in found.items()} if isinstance(found, dict) else {}


def _read_mark(folder: Path, key: str) -> Any:
    try:
        with (folder / MARK_FILE).open("rb") as file:
            return json.loads(file.read(_MOST))[key]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _is_our_entry(path: Path, listed: Mapping[str, Sequence[str]]) -> bool:
    if path.is_symlink() or not (path.is_file() or path.is_dir()):
        return False
    return is_ours(path) or (path.is_file() and path.name in listed)


def _is_edited(path: Path, listed: Mapping[str, Sequence[str]]) -> bool:
    """Return whether an entry of ours holds something else than what was written."""
    if path.is_dir():
        return (path / MARK_FILE).is_file() and _digest(path) not in (_read_mark(path, "holds") or [])
    return path.name in listed and path.stat().st_size > 0 and _digest(path) not in listed[path.name]


def _digest(path: Path) -> str:
    """Return a digest of a file, or of the names and sizes of all files of a folder but its mark."""
    if path.is_file():
        return sha256(path.read_bytes()).hexdigest()
    files = (one for one in path.rglob("*") if not one.is_dir() and one != path / MARK_FILE)
    told = sorted(f"{one.relative_to(path).as_posix()}\0{one.lstat().st_size}" for one in files)
    return sha256(os.fsencode("\n".join(told))).hexdigest()


def _first_folder(path: Path, name: str) -> Path:
    """Return the nearest folder above a path that is there."""
    for folder in path.absolute().parents:
        if _status(folder, name) is not None:
            return folder
    return Path(path.anchor)
