"""From a file of VisCy to an experiments file in a folder of its own.

VisCy describes experiments in three kinds of files: a collection (YAML), an experiments file of its earlier
generation (YAML), and a cell index (Parquet), which holds the cells themselves. Each becomes an experiments
file, and a cell index tables of tracks beside it; then everything goes the usual way, through ``index``. The
other way, reading such files in ``index`` itself, would give each rule of theirs a second place.

What has no place in our files is refused with its name, all of it together; ``leave_out`` names what may be
lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from viscy_data.errors import ExperimentsFileError, InvalidInputError
from viscy_data.files.outputs import check_entries, folder_named
from viscy_data.images.plates import EXPERIMENTS_FILE, TRACKS_FOLDER, staged, write_experiments
from viscy_data.images.store_metadata import FOCUS
from viscy_data.importing.cell_index import read_cell_index
from viscy_data.importing.entries import check_entries_of
from viscy_data.importing.yaml_files import read_yaml_file
from viscy_data.tables.experiment_fields import SAMPLES, Samples
from viscy_data.text import shown

_YAML: Final = (".yaml", ".yml")
_PARQUET: Final = (".parquet", ".pq")


@dataclass(frozen=True)
class ImportSummary:
    """What `import_viscy` wrote.

    Attributes
    ----------
    experiments_path
        The experiments file.
    experiments
        Names of its experiments.
    notes
        What their user should know, one sentence each.
    """

    experiments_path: Path
    experiments: tuple[str, ...]
    notes: tuple[str, ...] = ()


def import_viscy(
    source: str | Path,
    out: str | Path,
    *,
    samples: Samples | None = None,
    datasets_root: str | None = None,
    leave_out: Sequence[str] = (),
    store_attributes: Sequence[str] = (),
    overwrite: bool = False,
) -> ImportSummary:
    """Turn a file of VisCy into an experiments file.

    Parameters
    ----------
    source
        A collection or an experiments file of the earlier generation (YAML), or a cell index (Parquet).
    out
        Folder to write in; made when it does not exist.
    samples
        What a row of the table will be: ``cells``, with all channels, or ``channels``. None: ``cells`` for
        the earlier generation, else ``channels``.
    datasets_root
        Put in place of ``${datasets_root}`` in a collection's paths; None: what the collection says.
    leave_out
        Keys and columns that are not carried.
    store_attributes
        What is taken from the stores' attributes and not from pixels: ``normalization``, ``focus_slice``;
        with the latter, patches show the slice in focus.
    overwrite
        Replace what an earlier call wrote.

    Raises
    ------
    ExperimentsFileError
        Naming all that cannot be carried.
    InvalidInputError
        Where an argument is not allowed.
    OutputError
        Where something cannot be written.
    """
    source, out = Path(source), folder_named(out)
    if samples is not None and samples not in SAMPLES:
        raise InvalidInputError(f"samples={samples!r}: one of {', '.join(SAMPLES)} is needed.")
    if not source.exists():
        raise ExperimentsFileError(f"{shown(source, 300)}: does not exist")
    ends = source.name.lower()
    is_table = source.is_dir() or ends.endswith(_PARQUET)
    if not is_table and not ends.endswith(_YAML):
        raise InvalidInputError(
            f"file={shown(source, 300)!r}: a collection (.yaml) or a cell index (.parquet) is needed."
        )
    written = [*([TRACKS_FOLDER] if is_table else []), EXPERIMENTS_FILE]
    check_entries(out, written, overwrite=overwrite, inputs=[source])
    with staged(out, written, overwrite=overwrite, inputs=[source]) as folder:
        if is_table:
            (folder / TRACKS_FOLDER).mkdir()
            rows: Samples = samples or "channels"
            imported = read_cell_index(source, out, folder / TRACKS_FOLDER, rows, leave_out)
        else:
            imported, rows = read_yaml_file(source, out, samples, datasets_root, leave_out)
        asked = _of_store(store_attributes)
        imported.entries = [entry | asked for entry in imported.entries]
        check_entries_of(imported, source, rows)
        note = "\n".join([f"Imported from {source.name}.", imported.description, *imported.notes])
        write_experiments(folder / EXPERIMENTS_FILE, imported.entries, shown_note(note), samples=rows)
    names = tuple(str(entry["name"]) for entry in imported.entries)
    return ImportSummary(out / EXPERIMENTS_FILE, names, tuple(imported.notes))


def _of_store(attributes: Sequence[str]) -> dict[str, Any]:
    """Return the keys of an entry that take attributes of its store."""
    if not attributes:
        return {}
    return {"store_attributes": list(attributes)} | ({"z": "focus"} if FOCUS in attributes else {})


def shown_note(note: str) -> str:
    """Return lines that a comment can hold, without empty ones."""
    return "\n".join(shown(line, 500) for line in note.splitlines() if line.strip())
