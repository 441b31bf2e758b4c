"""A model's file: tensors and one block of JSON, so that reading what somebody sent runs no code.

A checkpoint is a pickle, and a pickle is a program. Here the format is safetensors: a header in JSON that
says where each tensor lies, then their bytes. Its metadata hold one entry of ours, the *card*, which says
what the tensors are of. Header and card are bounded, and a tensor cannot be larger than the file, so that a
file of unknown origin costs what its size says and no more.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from viscy_data import InvalidInputError, clear_leftovers, whole_file
from viscy_train.finite import all_finite

KEY: Final = "viscy-train"
"""The entry of the metadata that holds the card; also the mark by which our files are known."""

_MOST_HEADER: Final = 16 << 20
_MOST_CARD: Final = 4 << 20
_DEEPEST: Final = 64
_MOST_DIGITS: Final = 40
_LENGTH: Final = 8  # bytes in which a file says how long its header is
_SAY: Final = "give a file that viscy-train fit or pack wrote"


class Packed(NamedTuple):
    """What a file holds."""

    card: dict[str, Any]
    tensors: dict[str, Tensor]


def write_packed(path: Path, card: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write a file, whole or not at all; what is there already is replaced.

    Raises
    ------
    InvalidInputError
        Weights are not finite, or the card is too large or not of plain values.
    OutputError
        The file cannot be written; what was there before still is.
    """
    if not all_finite(tensors.values()):
        raise InvalidInputError(
            f"out={str(path)!r}: weights are not finite; take a checkpoint from before training went wrong."
        )
    try:
        text = json.dumps(dict(card), allow_nan=False)
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidInputError(
            f"out={str(path)!r}: the card holds what JSON does not: {str(error)[:200]}; take that out."
        ) from error
    if len(text) > _MOST_CARD:
        raise InvalidInputError(
            f"out={str(path)!r}: the card would take {len(text):,} bytes, and {_MOST_CARD:,} are allowed; "
            "leave the evaluation out."
        )
    # tensors that share memory are refused by the format
    whole = torch.contiguous_format
    own = {name: one.detach().cpu().clone(memory_format=whole) for name, one in tensors.items()}
    clear_leftovers(path)
    with whole_file(path) as beside:
        # not the library's own writing, which leaves a file that nobody else can read
        Path(beside).write_bytes(save(own, metadata={KEY: text}))


def is_packed(path: Path) -> bool:
    """Return whether a file begins as one of this format does; a checkpoint is a zip and does not."""
    try:
        with path.open("rb") as file:
            return file.read(_LENGTH + 1)[_LENGTH:] == b"{"
    except OSError:
        return False


def read_packed(path: str | Path) -> Packed:
    """Return the card and the tensors of a file, on the CPU.

    Raises
    ------
    FileNotFoundError
        No such file.
    InvalidInputError
        It is a folder, damaged, of another program or beyond the bounds.
    """
    card = read_card(path)
    try:
        return Packed(card, load_file(path))
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInputError(f"model={str(path)!r} is damaged: {reason[:300]}; {_SAY}.") from error


def read_card(path: str | Path) -> dict[str, Any]:
    """Return the card of a file, and read no tensor.

    Raises
    ------
    FileNotFoundError
        No such file.
    InvalidInputError
        As `read_packed`.
    """
    place = Path(path)
    named = f"model={str(path)!r}"
    if place.is_dir():
        raise InvalidInputError(f"{named} is a folder; {_SAY}.")
    if not place.exists():
        raise FileNotFoundError(f"{named}: no such file.")
    if not place.is_file():
        raise InvalidInputError(f"{named} is not a regular file; {_SAY}.")
    try:
        header = _header(place)
        metadata = header.get("__metadata__") if isinstance(header, dict) else None
        text = metadata.get(KEY, "") if isinstance(metadata, dict) else ""
        card = plain_json(text) if text and len(text) <= _MOST_CARD else None
    except OSError as error:
        raise InvalidInputError(f"{named} cannot be read: {error}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidInputError(f"{named} is not a model's file, or only a part of one; {_SAY}.") from error
    if not isinstance(card, dict):
        raise InvalidInputError(f"{named} holds no card of ours, of at most {_MOST_CARD:,} bytes; {_SAY}.")
    return card


def plain_json(text: str) -> Any:
    """Return what JSON of unknown origin says, where every program can print and write it again.

    Raises
    ------
    ValueError, RecursionError
        It is not JSON, has numbers that are not finite or have hundreds of digits, or is nested deeper than
        any card of ours.

    Examples
    --------
    >>> plain_json('{"loss": 0.5}')
    {'loss': 0.5}
    """
    found = json.loads(text, parse_constant=_no_number, parse_float=_finite, parse_int=_short)
    inside: list[Any] = [found]
    for _ in range(_DEEPEST):
        holding = [one.values() if isinstance(one, dict) else one for one in inside if _holds(one)]
        inside = [one for values in holding for one in values]
        if not inside:
            return found
    raise ValueError("nested too deep")


def _holds(value: Any) -> bool:
    return isinstance(value, dict | list)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not a finite number")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text[:40])


def _short(text: str) -> int:
    return int(text) if len(text) <= _MOST_DIGITS else int(_no_number(text[:40]))


def _header(path: Path) -> Any:
    """Return the header, which is not longer than the file nor than a header may be."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH), "little")
        if not 2 <= length <= min(_MOST_HEADER, path.stat().st_size - _LENGTH):
            raise ValueError("no header")
        return json.loads(file.read(length))
