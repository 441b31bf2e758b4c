"""The page as one document: what is shown as JSON, pictures as text, and the scripts that draw them.

Names of columns, conditions and experiments come from users' files, and end up in a page that somebody else
opens. They are only ever data: JSON in which no "<" is left, so that no name can end the element that holds
it, and which the script writes as text, never as markup. A policy in the head forbids the page to fetch
anything, from anywhere.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from string import Template
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data.pages.colours import PALETTE, STYLE, UNKNOWN
from viscy_data.pages.markup import Markup, escaped, tag
from viscy_data.pages.pixels import TINTS
from viscy_train.evaluation.arrays import IntArray
from viscy_train.view.thumbnails import TILES, Thumbnails, sheets

_EXACT: Final = 1 << 24  # whole numbers that float32 holds


@dataclass(frozen=True)
class ViewPage:
    """What the page shows of N cells.

    Attributes
    ----------
    title, subtitle : str
    facts : sequence of (str, str)
    notes : sequence of str
        What is not as one might expect.
    maps : mapping
        Places (N, 2) by name, the first of them shown at first.
    obs : DataFrame
        Columns to colour by.
    looks : mapping
        More of them (N,), which are numbers.
    colour : str
        The column that colours first.
    track, frame : ndarray (N,)
        Codes of tracks, and when.
    elsewhere, own : ndarray (N, K)
        Rows of neighbours, -1: none.
    captions : sequence of str
        Columns whose values stand below a picture.
    keys : mapping
        Columns (N,) of a table of labels.
    taken : sequence of str
        Names that a column of labels may not have.
    missing : sequence of str
        Labels that a table would read as missing.
    thumbnails : Thumbnails or None
    """

    title: str
    subtitle: str
    facts: Sequence[tuple[str, str]]
    notes: Sequence[str]
    maps: Mapping[str, NDArray[np.float32]]
    obs: pd.DataFrame = field(repr=False)
    looks: Mapping[str, NDArray[np.floating[Any]]] = field(repr=False)
    colour: str
    track: IntArray = field(repr=False)
    frame: IntArray = field(repr=False)
    elsewhere: IntArray = field(repr=False)
    own: IntArray = field(repr=False)
    captions: Sequence[str]
    keys: Mapping[str, Sequence[str]] = field(repr=False)
    taken: Sequence[str]
    missing: Sequence[str]
    thumbnails: Thumbnails | None = field(default=None, repr=False)


def render(page: ViewPage, library: str) -> str:
    """Return the document; `library` is the source of plotly.js."""
    folder = files("viscy_train.view")
    style, script, document = (
        (folder / name).read_text(encoding="utf-8") for name in ("view.css", "view.js", "view.html")
    )
    facts = [tag("div", tag("dt", name), tag("dd", value)) for name, value in page.facts]
    return Template(document).substitute(
        title=escaped(page.title),
        subtitle=escaped(page.subtitle),
        facts=Markup("".join(facts)),
        notes=Markup("".join(tag("p", note, class_="note") for note in page.notes)),
        colours=" ".join(f"--{name}: {value};" for name, value in STYLE.items()),
        style=style,
        data=in_script(json.dumps(_data(page), allow_nan=False)),
        sheets="\n".join(_sheets(page.thumbnails)),
        library=library.replace("</script", "<\\/script"),
        script=script,
    )


def in_script(text: str) -> str:
    r"""Return JSON that no HTML ends: "<", ">" and "&" are escaped, as JSON allows in its strings.

    Examples
    --------
    >>> in_script('["</script>"]')
    '["\\u003c/script\\u003e"]'
    """
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _data(page: ViewPage) -> dict[str, Any]:
    pictures = page.thumbnails
    return {
        "maps": [{"name": name, "xy": _array(places.T, "<f4")} for name, places in page.maps.items()],
        "columns": [
            *(_column(str(name), page.obs[name]) for name in page.obs),
            *({"name": name, "made": True, **_numbers(values)} for name, values in page.looks.items()),
        ],
        "colour": page.colour,
        "cells": len(page.obs),
        "track": _array(page.track, "<i4"),
        "frame": _array(page.frame, "<i4"),
        "neighbours": page.elsewhere.shape[1],
        "elsewhere": _array(page.elsewhere, "<i4"),
        "own": _array(page.own, "<i4"),
        "captions": list(page.captions),
        "keys": [{"name": name, "values": list(values)} for name, values in page.keys.items()],
        "taken": list(page.taken),
        "missing": list(page.missing),
        "palette": list(PALETTE),
        "tints": list(TINTS),
        "unknown": UNKNOWN,
        "pictures": None
        if pictures is None
        else {
            "side": pictures.size,
            "tiles": TILES,
            "channels": list(pictures.channels),
            "lacking": _array(pictures.lacking, "u1"),
        },
    }


def _sheets(pictures: Thumbnails | None) -> Iterator[str]:
    """Yield an element for each sheet, which no browser decodes before it is asked for."""
    if pictures is None:
        return
    for channel in range(len(pictures.channels)):
        for number, sheet in enumerate(sheets(pictures.pictures[:, channel])):
            yield f'<script type="text/plain" id="sheet-{channel}-{number}">{sheet}</script>'


def _column(name: str, column: "pd.Series[Any]") -> dict[str, Any]:
    numeric = pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
    if numeric:
        return {"name": name, **_numbers(column.to_numpy(np.float64, na_value=np.nan))}
    codes, names = pd.factorize(column.astype(object).map(str, na_action="ignore"), sort=True)
    return {
        "name": name,
        "kind": "names",
        "values": [str(one) for one in names],
        "codes": _array(codes, "<i4"),
    }


def _numbers(values: NDArray[np.floating[Any]]) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    wide = bool(known.size) and bool((np.abs(known) > _EXACT).any())
    return {"kind": "numbers", "values": _array(values, "<f8" if wide else "<f4")}


def _array(values: NDArray[Any], kind: str) -> dict[str, str]:
    """Return an array as its bytes in base64, and of which kind they are."""
    packed = np.ascontiguousarray(values, dtype=kind).tobytes()
    return {"kind": kind[-2:], "bytes": base64.b64encode(packed).decode("ascii")}
