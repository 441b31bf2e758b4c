"""One experiment of VisCy on its way to an experiments file, and what both kinds of files have in common.

A channel may show different things in different wells of one plate. In our file a channel shows one thing, so
such a plate becomes several experiments, one for each set of channels and what they show, which read the same
store and leave the fields of view of the others out.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from viscy_data.errors import ExperimentsFileError
from viscy_data.tables.experiment import Experiment
from viscy_data.tables.experiment_fields import Samples
from viscy_data.tables.experiments import Experiments
from viscy_data.text import shown

ROOT: Final = "${datasets_root}"
"""Text of a path in whose place a collection's ``datasets_root`` is put."""


@dataclass(frozen=True)
class Shown:
    """One channel, and what it shows; marker None: the file does not say."""

    channel: str
    marker: str | None = None


@dataclass
class Imported:
    """What is imported: entries of an experiments file, what its user should know, and what is wrong.

    Attributes
    ----------
    entries
        The experiments, as the experiments file holds them.
    notes, problems
        A line each, which begins with the name of the experiment.
    description
        Name and description of the whole, for the head of the file.
    """

    entries: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    description: str = ""


def channels_entry(channels: Sequence[Shown], samples: Samples) -> dict[str, Any]:
    """Return what an entry says of channels."""
    markers = {one.channel: one.marker for one in channels if one.marker and one.marker != one.channel}
    if samples == "channels":
        return {"channels": {one.channel: one.marker or one.channel for one in channels}}
    names = [one.channel for one in channels]
    return {"channels": names, "markers": markers} if markers else {"channels": names}


def part_names(name: str, parts: Sequence[Sequence[Shown]]) -> list[str]:
    """Return a name for each part of an experiment: its own, with what the part alone shows.

    Examples
    --------
    >>> part_names("e", [[Shown("P"), Shown("G", "ER")], [Shown("P"), Shown("G", "DNA")]])
    ['e (ER)', 'e (DNA)']
    >>> part_names("e", [[Shown("P")]])
    ['e']
    """
    if len(parts) == 1:
        return [name]
    common = set(parts[0]).intersection(*parts[1:])
    found = []
    for part in parts:
        own = ", ".join(one.marker or one.channel for one in part if one not in common) or "others"
        found.append(f"{name} ({own.replace('/', '-')})")
    return [one if found.count(one) == 1 else f"{one} {i}" for i, one in enumerate(found, 1)]


def placed(path: str, source: Path, out: Path) -> str:
    """Return a path, relative to the folder of ``source`` if not absolute, as a file in ``out`` writes it.

    Examples
    --------
    >>> placed("a.zarr", Path("/data/collection.yaml"), Path("/data/ours"))
    '../a.zarr'
    """
    if "://" in path or Path(path).is_absolute():
        return path
    return os.path.relpath(source.absolute().parent / path, out.absolute())


def check_entries_of(imported: Imported, source: Path, samples: Samples) -> None:
    """Refuse what cannot be carried, all of it together.

    Raises
    ------
    ExperimentsFileError
        Naming every problem of every experiment.
    """
    problems = list(imported.problems)
    parsed = []
    for entry in imported.entries:
        try:
            parsed.append(Experiment.model_validate({**entry, "samples": samples}))
        except ValidationError as error:
            problems += [f"experiment {shown(entry['name'])!r}: {said}" for said in explained(error)]
    if parsed and not problems:
        try:
            Experiments(experiments=tuple(parsed))
        except ValidationError as error:
            problems += explained(error)
    if problems:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        lines = "\n".join(f"  - {one}" for one in problems)
        raise ExperimentsFileError(f"{source}: {count}:\n{lines}")


def explained(error: ValidationError) -> list[str]:
    """Say what pydantic found, a line each."""
    lines = []
    for one in error.errors():
        key = ".".join(shown(part) for part in one["loc"])
        said = one["msg"].removeprefix("Value error, ")
        match one["type"]:
            case "extra_forbidden":
                said = (
                    f"unknown key {key!r}, which cannot be carried; correct it, or leave it out "
                    f"(--leave-out {shown(one['loc'][-1])})"
                )
            case "missing":
                said = f"{key} is missing"
            case _ if key:
                said = f"{key}={shown(repr(one['input']), 200)}: {said}"
        lines.append(said)
    return lines


def without(entry: Mapping[str, Any], leave_out: Sequence[str]) -> dict[str, Any]:
    """Return an entry without the keys that are left out."""
    return {key: value for key, value in entry.items() if key not in leave_out}
