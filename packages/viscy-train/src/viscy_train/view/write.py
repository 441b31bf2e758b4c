"""From an embeddings file to a page."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from viscy_data import InvalidInputError, check_output, columns, progress_bar, shown, write_text
from viscy_train.evaluation.cells import codes_of, paired
from viscy_train.view.cells import Viewed, viewed_cells
from viscy_train.view.labels import TAKEN, label_keys
from viscy_train.view.looks import looks
from viscy_train.view.maps import FEWEST, Kind, Places, check_kind, principal, tsne, tsne_steps, umap
from viscy_train.view.neighbours import find_neighbours, steps
from viscy_train.view.page import ViewPage, render
from viscy_train.view.patches import find_table, open_patches, rows_of_cells
from viscy_train.view.thumbnails import Thumbnails, read_thumbnails, side_of

_SIDES = (16, 128)


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes
    ----------
    path : Path
    cells, of_cells : int
        Cells on the page and in the file.
    bytes : int
        Of the page.
    no_patches : str
        Why it has no patches; empty where it has.
    """

    path: Path
    cells: int
    of_cells: int
    bytes: int
    no_patches: str = ""


def view_embeddings(
    embeddings: str | Path,
    out: str | Path,
    *,
    anchors: str | Path | None = None,
    layer: str = "",
    kind: Kind = "tsne",
    max_cells: int = 10_000,
    side: int = 48,
    patches: bool = True,
    seed: int = 0,
    progress: bool = True,
) -> Written:
    """Write a page to look at an embedding, which needs no network and no other file.

    Parameters
    ----------
    embeddings : str or Path
        What `viscy_train.embed_table` wrote.
    out : str or Path
        The page.
    anchors : str or Path, optional
        The table that was embedded, where the file does not name it, or it was moved.
    layer : str
        Of the file's layers, the one to show, such as ``corrected``; empty: the embedding itself.
    kind : {"tsne", "umap", "pca"}
        Which map is shown first; principal components are there in any case.
    max_cells : int
        Of more, whole lineages are drawn evenly over experiments.
    side : int
        Pixels of a thumbnail, 16 to 128; patches that have fewer are shown as they are.
    patches : bool
        Whether to show patches at all.
    seed : int
        Of the draw and of the map.
    progress : bool
        Show progress bars.

    Raises
    ------
    InvalidInputError
        If an argument is out of range, `out` may not be written, the file is not one of embeddings, or the
        table is not the one that they are of.
    """
    library = _checked(embeddings, out, anchors, kind, max_cells, side)
    cells = viewed_cells(embeddings, max_cells=max_cells, seed=seed, layer=layer)
    table, lacking = None, "they were not asked for: --no-patches"
    if patches:
        table, lacking = find_table(cells.provenance, Path(embeddings), _path(anchors))
    pictures = None if table is None else _pictures(cells, table, side, progress=progress)
    maps = _maps(cells, kind, seed, progress=progress)
    with progress_bar("neighbours", steps(cells), unit="cells", shown=progress) as advance:
        found = find_neighbours(cells, advance=advance)
    made = looks(cells, found)
    page = ViewPage(
        title=f"{Path(embeddings).name}{layer and f', {layer}'}: {len(cells):,} cells",
        subtitle=_subtitle(cells),
        facts=_facts(cells, pictures),
        notes=_notes(cells, pictures, lacking, elsewhere=bool((found.elsewhere >= 0).any())),
        maps=maps,
        obs=cells.obs,
        looks=made,
        colour=columns.EXPERIMENT,
        track=cells.track,
        frame=cells.obs[columns.T].to_numpy(np.int64),
        elsewhere=found.elsewhere,
        own=found.own,
        captions=[name for name in (columns.EXPERIMENT, columns.CONDITION) if name in cells.obs],
        keys=label_keys(cells.obs),
        taken=sorted(TAKEN),
        missing=columns.MISSING_WORDS,
        thumbnails=pictures,
    )
    text = render(page, library)
    inputs = [Path(embeddings), *([] if table is None else [table])]
    write_text(out, text, inputs=inputs)
    size = len(text.encode("utf-8"))
    return Written(Path(out), len(cells), cells.of_cells, size, lacking if pictures is None else "")


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)


def _checked(
    embeddings: str | Path, out: str | Path, anchors: str | Path | None, kind: str, max_cells: int, side: int
) -> str:
    """Refuse what can be refused before anything is read; return the library that draws the map."""
    check_kind(kind)
    if not 2 <= max_cells <= 50_000:
        raise InvalidInputError(
            f"max_cells={max_cells}: 2 to 50,000 are needed, as a browser draws no more; 10,000 is usual."
        )
    if not _SIDES[0] <= side <= _SIDES[1]:
        raise InvalidInputError(f"side={side}: {_SIDES[0]} to {_SIDES[1]} pixels are needed; 48 is usual.")
    check_output(out, inputs=[embeddings, *([] if anchors is None else [anchors])])
    if find_spec("plotly") is None:
        raise InvalidInputError("view needs plotly, which draws the map: pip install 'viscy-train[view]'.")
    from plotly.offline import get_plotlyjs  # noqa: PLC0415  an extra

    return str(get_plotlyjs())


def _pictures(cells: Viewed, table: Path, side: int, *, progress: bool) -> Thumbnails:
    dataset = open_patches(cells.provenance, table)
    rows = rows_of_cells(cells.obs, dataset.anchors, f"anchors={str(table)!r}")
    groups = paired(cells.experiment, cells.marker)
    side = side_of(dataset.shown.size, side)
    with progress_bar("patches", len(rows), unit="cells", shown=progress) as advance:
        return read_thumbnails(dataset, rows, groups, side=side, advance=advance)


def _maps(cells: Viewed, kind: Kind, seed: int, *, progress: bool) -> Mapping[str, Places]:
    places, shares = principal(cells.unit)
    linear = {f"principal components ({shares[0]:.0%} and {shares[1]:.0%} of the variance)": places}
    if kind == "pca" or len(cells) < FEWEST:
        return linear
    if kind == "umap":
        with progress_bar("UMAP", 1, unit="maps", shown=progress) as advance:
            found = {"UMAP": umap(cells.unit, seed=seed)}
            advance(1)
        return found | linear
    with progress_bar("t-SNE", tsne_steps(), unit="times 50 steps", shown=progress) as advance:
        return {"t-SNE": tsne(cells.unit, seed=seed, advance=advance)} | linear


def _subtitle(cells: Viewed) -> str:
    experiments = cells.obs[columns.EXPERIMENT].nunique()
    tracks = len(np.unique(cells.track))
    many = "experiment" if experiments == 1 else "experiments"
    return (
        f"Each point is one cell in one frame: {len(cells):,} of {tracks:,} tracks of {experiments:,} {many}."
    )


def _facts(cells: Viewed, pictures: Thumbnails | None) -> list[tuple[str, str]]:
    kept = len(cells) + cells.not_finite == cells.of_cells
    facts = [
        ("cells", f"{len(cells):,}" if kept else f"{len(cells):,} of {cells.of_cells:,}"),
        ("lineages", f"{len(np.unique(codes_of(cells.obs[columns.LINEAGE_ID]))):,}"),
        ("embedding", f"{cells.unit.shape[1]:,} numbers a cell"),
    ]
    if pictures is not None:
        names = ", ".join(name for name in pictures.channels if name)
        facts.append(("patches", f"{pictures.size} px" + (f", {names}" if names else "")))
    return facts


def _notes(cells: Viewed, pictures: Thumbnails | None, lacking: str, *, elsewhere: bool) -> list[str]:
    notes = []
    left = cells.of_cells - cells.not_finite - len(cells)
    if left:
        notes.append(
            f"{left:,} cells are left out: whole lineages were drawn, as many from each experiment. "
            "--max-cells shows more of them."
        )
    if cells.not_finite:
        notes.append(f"{cells.not_finite:,} cells are left out because they have no finite embedding.")
    if pictures is None:
        notes.append(f"There are no patches: {shown(lacking, 600)}.")
    elif pictures.lacking.any():
        notes.append(f"The patches of {pictures.lacking.sum():,} cells could not be read; they are black.")
    if not elsewhere:
        notes.append("There is one experiment only, so that no cell has neighbours in others.")
    return notes
