"""The experiments file: read as far as it goes, so that everything wrong with it is said at once.

The file is written by hand and may name twenty experiments; whoever learns of one mistake at a time starts
twenty times. So reading goes on behind a mistake, and three kinds of problems are collected: within one
experiment, between experiments (a name is used once, and their channels go together), and, once the stores
have been opened, what the file names and a store lacks.

Therefore every problem of every experiment is found before anything is built, and all of them come in one
:class:`~viscy_data.errors.ExperimentsFileError`, in the words of the file. The file is YAML, paths in it are
relative to it, and nothing else is read here.

Cost: pydantic's errors are put into words of our own, and :func:`parse_experiments` returns the experiments
that can be used beside a list of problems, which its caller has to raise.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from viscy_data.errors import ExperimentsFileError, suggest
from viscy_data.files.yaml_file import read_yaml
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.experiment_fields import SAMPLES, Samples
from viscy_data.tables.normalizations import disagreements, name_disagreements
from viscy_data.text import shown


class Experiments(BaseModel):
    """The experiments file, checked. Build it by :meth:`load`."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    experiments: Annotated[tuple[Experiment, ...], Field(min_length=1)]

    @property
    def samples(self) -> Samples:
        """What a row of the table is: a cell in a frame, or one of its channels."""
        return self.experiments[0].samples

    @property
    def patch_channels(self) -> tuple[str, ...]:
        """Names of the channels of a patch, as the first experiment calls them; one where a row is one."""
        return self.experiments[0].channels if self.samples == "cells" else ("channel of the row",)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        problems = _disagreements(self.experiments)
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read an experiments file; its paths become absolute.

        Raises
        ------
        ExperimentsFileError
            Naming every problem of every experiment.
        """
        experiments, problems = parse_experiments(path)
        raise_problems(path, problems)
        return cls(experiments=tuple(experiments))

    def digest(self) -> str:
        """Return the SHA-256 of the content; folders are left out, so moved data keeps its digest."""
        named = [experiment.with_paths(lambda path: Path(path.name)) for experiment in self.experiments]
        content = {"experiments": [experiment.model_dump(mode="json") for experiment in named]}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def parse_experiments(path: str | Path) -> tuple[list[Experiment], list[str]]:
    """Read an experiments file as far as it goes.

    Returns
    -------
    experiments
        Those that are well formed and whose paths exist; paths are absolute.
    problems
        One line for each thing wrong with the others and with the whole.
    """
    path = Path(path)
    entries, samples, problems = _read_entries(path)
    parsed: list[Experiment] = []
    for i, entry in enumerate(entries):
        where = _label(i, entry)
        if isinstance(entry, dict) and "samples" in entry:
            problems.append(f"{where}: samples is said once, for all experiments; write it at the top")
            continue
        try:
            experiment = Experiment.model_validate(
                {**entry, "samples": samples} if isinstance(entry, dict) else entry
            )
        except ValidationError as error:
            problems += [f"{where}: {_explain(one)}" for one in error.errors()]
        else:
            parsed.append(_absolute(experiment, path.parent))
    problems += _disagreements(parsed)
    for experiment in parsed:
        problems += _missing_paths(experiment)
    return [e for e in parsed if not _missing_paths(e)], problems


def raise_problems(path: str | Path, problems: Sequence[str]) -> None:
    """Raise one ``ExperimentsFileError`` that lists all problems; return where there is none."""
    if problems:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise ExperimentsFileError(f"{path}: {count}:\n" + "\n".join(f"  - {p}" for p in problems))


def check_experiments(experiments: Experiments, fovs: Mapping[str, Sequence[FovInfo]]) -> None:
    """Compare the file with its stores.

    Parameters
    ----------
    experiments
        The file.
    fovs
        The fields of view of each experiment's store, by the experiment's name.

    Raises
    ------
    ExperimentsFileError
        Naming every channel, well and fov that a store lacks, of all experiments.
    """
    raise_problems("experiments", find_problems(experiments.experiments, fovs))


def find_problems(experiments: Iterable[Experiment], fovs: Mapping[str, Sequence[FovInfo]]) -> list[str]:
    """Return what :func:`check_experiments` would raise, as lines."""
    problems: list[str] = []
    for experiment in experiments:
        found = fovs.get(experiment.name, ())
        lines = _store_problems(experiment, found) if found else ["the store holds no field of view"]
        problems += [f"experiment {experiment.name!r}: {line}" for line in lines]
    return problems


def _store_problems(experiment: Experiment, fovs: Sequence[FovInfo]) -> list[str]:
    names = {info.fov for info in fovs}
    wells = {info.well for info in fovs}
    asked = [well for group in (experiment.condition_wells or {}).values() for well in group]
    problems = _absent("condition_wells", "well", asked, wells)
    whole = [name for name in experiment.exclude_fovs if name in wells - names]
    for well in whole:
        inside = _some(sorted(info.fov for info in fovs if info.well == well))
        problems.append(f"exclude_fovs: {well!r} is a well that is there; name its fields of view: {inside}")
    problems += _absent("exclude_fovs", "fov", [o for o in experiment.exclude_fovs if o not in whole], names)
    kept = [info for info in fovs if info.fov not in experiment.exclude_fovs]
    if not kept:
        problems.append("exclude_fovs leaves no field of view")
    for channels in sorted({info.channels for info in kept}):
        problems += _absent("channels", "channel", experiment.channels, channels)
    problems += [f"fov={i.fov!r}: shape={i.shape} has an empty axis" for i in kept if min(i.shape) < 1]
    return problems


def _absent(key: str, noun: str, asked: Iterable[str], held: Iterable[str]) -> list[str]:
    known = sorted(held)
    return [
        f"{key}: {noun} {name!r} is not in the store, which holds {_some(known)}.{suggest(name, known)}"
        for name in asked
        if name not in known
    ]


def _some(names: Sequence[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more


def _disagreements(experiments: Sequence[Experiment]) -> list[str]:
    names = [experiment.name for experiment in experiments]
    problems = [f"name={name!r} is used twice" for name in sorted({n for n in names if names.count(n) > 1})]
    if len({experiment.samples for experiment in experiments}) > 1:
        problems.append("samples: it is the same in all experiments of a table; got cells and channels")
    elif experiments and experiments[0].samples == "cells" and not _as_many_channels(experiments):
        listed = ", ".join(f"{experiment.name}: {len(experiment.channels)}" for experiment in experiments)
        problems.append(
            f"channels: every experiment needs the same number of channels; got {listed}; name as many of "
            "each, or write 'samples: channels' at the top, for a row and a patch of each channel"
        )
    elif experiments and experiments[0].samples == "cells":
        problems += disagreements({one.name: (one.channels, one.normalizations) for one in experiments})
    else:
        problems += name_disagreements({one.name: (one.channels, one.normalizations) for one in experiments})
    return problems


def _as_many_channels(experiments: Sequence[Experiment]) -> bool:
    return len({len(experiment.channels) for experiment in experiments}) == 1


def _missing_paths(experiment: Experiment) -> list[str]:
    return [
        f"experiment {experiment.name!r}: {key}={shown(path, 300)!r} {why}"
        for key, path in experiment.paths()
        if (why := _why_missing(path))
    ]


def _why_missing(path: Path) -> str:
    """Say why there is nothing to read at a path; empty where there is."""
    try:
        path.stat()
    except FileNotFoundError:
        return "does not exist"
    except (OSError, ValueError) as error:  # no permission, a name longer than the system takes, a loop
        return f"cannot be opened: {getattr(error, 'strerror', None) or error}"
    return ""


def _absolute(experiment: Experiment, folder: Path) -> Experiment:
    # as Path.resolve does, which raises where links lead to each other
    return experiment.with_paths(lambda path: Path(os.path.realpath(folder / path)))


def _label(i: int, entry: object) -> str:
    name = entry.get("name") if isinstance(entry, dict) else None
    return f"experiment {shown(name)!r}" if isinstance(name, str) else f"experiments[{i}]"


def _explain(error: Any) -> str:
    """Say in the file's own words what pydantic found."""
    key = ".".join(shown(part) for part in error["loc"])
    given = f"{key}={shown(repr(error['input']), 200)}"
    match error["type"]:
        case "extra_forbidden":
            allowed = [name for name in Experiment.model_fields if name != "samples"]
            return f"unknown key {key!r}; allowed: {', '.join(allowed)}.{suggest(key, allowed)}"
        case "missing":
            return f"{key} is missing"
        case "string_type":
            return f"{given} is not text; put it in quotes"
        case "value_error" if not key:
            return str(error["ctx"]["error"])
        case "string_pattern_mismatch":
            return f"{given} holds '/', which separates the parts of a global track id"
    return f"{given}: {error['msg'].removeprefix('Value error, ')}"


def _read_entries(path: Path) -> tuple[list[Any], Samples, list[str]]:
    """Return the entries of a file, what its rows are, and what is wrong with it as a whole."""
    content = read_yaml(path)
    if not isinstance(content, dict) or not isinstance(content.get("experiments"), list):
        return [], "cells", ["the file must be a mapping with the key 'experiments', a list"]
    allowed = ["samples", "experiments"]
    others = [shown(key) for key in content if key not in allowed]
    problems = [
        f"unknown key {key!r}; allowed: {', '.join(allowed)}.{suggest(key, allowed)}" for key in others
    ]
    if not content["experiments"]:
        problems.append("experiments=[]: at least one experiment is needed")
    samples = content.get("samples", "cells")
    if samples not in SAMPLES:
        problems.append(
            f"samples={shown(repr(samples), 200)}: 'cells' (a row of all channels, the default) or "
            "'channels' (a row of each) are allowed"
        )
        samples = "cells"
    return content["experiments"], samples, problems
