"""Cells to look at on the page of an evaluation: what the probe is surest of, and which cells are alike.

A number says how well a label is told, and nobody sees by what: by the cells, by debris, or by a field of
view out of focus. So for one label the page shows, of each of its values, the cells that the probe finds most
like it, with the value that they truly have; and for some cells those most like them in other experiments.
The probe has seen none of these cells, nor any other of their unit, as in `evaluate`. Each lineage is shown
once, since a cell a frame later is the same picture.

Cost: one probe, and the pixels of less than a hundred cells.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from viscy_data import AnchorDataset, InvalidInputError, columns, shown
from viscy_data.pages.page import Block, Gallery, Paragraph, Section, Tile
from viscy_data.pages.pixels import png_of, tinted
from viscy_train.evaluation.arrays import EmbeddingArray, IntArray, unit_rows
from viscy_train.evaluation.cells import Cells, Label, paired
from viscy_train.evaluation.labelling import rows_evaluated
from viscy_train.evaluation.neighbours import nearest
from viscy_train.evaluation.quick_probe import quick_reading
from viscy_train.view.neighbours import one_of_each
from viscy_train.view.patches import find_table, open_patches, rows_of_cells
from viscy_train.view.thumbnails import read_thumbnails, side_of

AT_AN_END: Final = 8
"""Cells shown of each value of the label."""
VALUES: Final = 6
"""Values of which cells are shown, the most frequent ones."""
ASKED: Final = 6
"""Cells whose neighbours are shown, and how many of each."""

_SIDE: Final = 96
_CANDIDATES: Final = 64
_LEAD = (
    "The probe never saw these cells, nor others of their well or experiment. Below each: what it truly is, "
    "its experiment, and when. Brightness can be compared within an experiment."
)


@dataclass(frozen=True)
class Row:
    """Cells beside each other: places (K,) among those shown, with a heading and a caption."""

    places: IntArray
    heading: str
    caption: str = ""


@dataclass(frozen=True)
class Patched:
    """An embedding with the patches of its cells.

    Attributes
    ----------
    embedding : ndarray (N, D)
    obs : DataFrame
        Their columns.
    dataset : AnchorDataset
        Where their pixels are.
    rows : ndarray (N,)
        Of its anchors.
    name : str
        What the embedding is called where there are several; may be empty.
    """

    embedding: EmbeddingArray
    obs: pd.DataFrame
    dataset: AnchorDataset
    rows: IntArray
    name: str = ""


def open_patched(
    path: Path,
    *,
    anchors: Path | None = None,
    layer: str = "",
    annotations: Path | None = None,
    max_cells: int = 20_000,
    name: str = "",
) -> Patched:
    """Open an embeddings file with its table, of the cells that an evaluation takes.

    Raises
    ------
    InvalidInputError
        If there is no table, or it is not the one that the embeddings are of.
    """
    file, obs, kept = rows_evaluated(path, layer, annotations, max_cells)
    table, lacking = find_table(file.provenance, path, anchors)
    if table is None:
        raise InvalidInputError(f"patches=True: {lacking}, or leave the patches out.")
    dataset, cells = open_patches(file.provenance, table), obs.iloc[kept]
    rows = rows_of_cells(cells, dataset.anchors, f"anchors={str(table)!r}")
    return Patched(file.embedding[kept], cells, dataset, rows, name)


def galleries(
    shown_of: Patched, label: str, leave_out: str = columns.EXPERIMENT, *, seed: int = 0
) -> Section:
    """Return the section: cells at each end of the probe, then cells and those most like them."""
    array = np.asarray(shown_of.embedding, dtype=np.float64)
    cells = Cells.of(array, shown_of.obs, (label,), leave_out)
    ends, lacking = at_the_ends(cells, cells.labels[0], seed)
    alike = most_alike(cells, seed)
    drawn = np.unique(np.concatenate([np.zeros(0, np.int64), *(one.places for one in (*ends, *alike))]))
    tiles = dict(zip(drawn.tolist(), _tiles(shown_of, cells, drawn), strict=True))
    blocks: list[Block] = [
        Gallery([tiles[one] for one in row.places], row.heading, row.caption) for row in ends
    ]
    if lacking:
        blocks.append(Paragraph(f"No probe can be asked for {shown(label, 60)}: {lacking}.", note=True))
    if alike:
        text = (
            "Each row: a cell, then those of other experiments whose embeddings are most like its own, the "
            "nearest first. They should be the same kind of cell, whatever the microscope."
        )
        blocks.append(Paragraph(text))
        blocks += [
            Gallery([tiles[one] for one in row.places], _named(shown_of.obs, cells, row.places[0]))
            for row in alike
        ]
    else:
        blocks.append(
            Paragraph("There is one experiment only, so no cell has neighbours in others.", note=True)
        )
    whose = f", by {shown(shown_of.name, 60)}" if shown_of.name else ""
    return Section(f"Cells to look at{whose}", _LEAD, blocks)


def at_the_ends(cells: Cells, label: Label, seed: int = 0) -> tuple[list[Row], str]:
    """Return for each value the cells that the probe is surest of, else why there is no probe."""
    lacking = ""
    for leaving_out in (True, False):
        reading = quick_reading(cells, label, leaving_out=leaving_out, seed=seed)
        if isinstance(reading, str):
            lacking = reading
            continue
        rows = reading.question.rows[reading.found.rows]
        found = []
        true = label.codes[rows]
        classes = np.unique(reading.question.codes)
        counts = np.bincount(reading.question.codes)
        for code in np.sort(classes[np.argsort(-counts[classes], kind="stable")][:VALUES]):
            value = label.codes[reading.question.rows[reading.question.codes == code][0]]
            order = np.argsort(-reading.found.scores[:, code], kind="stable")
            first = order[_first_of_each(cells.lineage[rows[order]])][:AT_AN_END]
            right = int((true[first] == value).sum())
            name = shown(label.values[value], 60)
            found.append(Row(rows[first], f"Most like {name}", f"{right} of these {first.size} are {name}."))
        return found, ""
    return [], lacking


def most_alike(cells: Cells, seed: int = 0) -> list[Row]:
    """Return some cells, spread over values and experiments, each with the nearest of other experiments."""
    if np.unique(cells.experiment).size < 2:
        return []
    asked = _spread(paired(cells.labels[0].codes + 1, cells.experiment), cells.lineage, seed)
    found = nearest(
        unit_rows(cells.embedding), _CANDIDATES, own=cells.experiment, pool=cells.marker, rows=asked
    )
    near = one_of_each(found[asked], cells.lineage, ASKED)
    rows = [np.concatenate([[one], theirs[theirs >= 0]]) for one, theirs in zip(asked, near, strict=True)]
    return [Row(one.astype(np.int64), "") for one in rows if one.size > 1]


def _spread(group: IntArray, lineage: IntArray, seed: int) -> IntArray:
    """Draw some rows of different lineages, from each group in turn."""
    order = np.random.default_rng(seed).permutation(group.size)
    order = order[_first_of_each(lineage[order])]
    turn = np.zeros(order.size, dtype=np.int64)
    for code in np.unique(group[order]):
        members = group[order] == code
        turn[members] = np.arange(members.sum())
    chosen = order[np.argsort(turn, kind="stable")[:ASKED]]
    return chosen[np.argsort(group[chosen], kind="stable")].astype(np.int64)


def _first_of_each(codes: IntArray) -> IntArray:
    """Return the first places of each code, in order."""
    return np.sort(np.unique(codes, return_index=True)[1]).astype(np.int64)


def _tiles(of: Patched, cells: Cells, places: IntArray) -> Iterator[Tile]:
    groups = paired(cells.experiment[places], cells.marker[places])
    side = side_of(of.dataset.shown.size, _SIDE)
    found = read_thumbnails(of.dataset, of.rows[places], groups, side=side)
    label = cells.labels[0]
    for place, picture, lacking in zip(places, found.pictures, found.lacking, strict=True):
        known = label.codes[place]
        value = label.values[known] if known >= 0 else f"{label.name} not known"
        parts = [value, *_told(of.obs.iloc[place]), *(["could not be read"] if lacking else [])]
        yield Tile(png_of(tinted(picture)), " · ".join(shown(one, 40) for one in parts))


def _named(obs: pd.DataFrame, cells: Cells, place: int) -> str:
    """Return what a cell is, and of which experiment."""
    label = cells.labels[0]
    known = label.codes[place]
    value = f"{shown(label.values[known], 40)}, " if known >= 0 else ""
    return f"{value}{shown(obs[columns.EXPERIMENT].iloc[place], 60)}, and most like it"


def _told(cell: "pd.Series[Any]") -> Sequence[str]:
    """Return experiment, channel and time of a cell, those that are known."""
    held = [cell[name] for name in (columns.EXPERIMENT, columns.CHANNEL) if name in cell.index]
    hours = cell.get(columns.HOURS)
    when = f"{hours:.0f} h" if hours is not None and pd.notna(hours) else f"frame {cell[columns.T]}"
    return [*(str(one) for one in held if pd.notna(one)), when]
