"""The experiments file: which stores and tracks belong together, and what is known of them.

An *experiment* is one acquisition: an OME-Zarr store, its tracks, its channels and its clock. The
file is YAML, and paths in it are relative to it. A value that is null is *not known*; nothing here
invents one. What a null takes away (hours, resampling, balance) is refused where it is asked for,
with the experiment's name.

Invariant: every problem of every experiment is found before anything is built, and all of them
come in one :class:`~viscy_data.errors.ExperimentsFileError`. This file reads the YAML and nothing
else; what must be known of a store arrives as :class:`FovInfo`.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from viscy_data.errors import ExperimentsFileError, suggest
from viscy_data.files.yaml_file import read_yaml
from viscy_data.tables.experiment_fields import (
    SAMPLES,
    Hours,
    LengthUnit,
    Micrometres,
    Minutes,
    PossiblePath,
    Samples,
    Slices,
    StoreAttribute,
    Text,
    Texts,
    TrackColumn,
    unique,
)
from viscy_data.tables.normalizations import (
    Normalization,
    disagreements,
    name_disagreements,
    normalizations_of,
)
from viscy_data.tables.own_columns.fields import ColumnsFiles, Constants, name_problems
from viscy_data.tables.z_policy import ZPolicy, z_problems
from viscy_data.text import shown


class _Frozen(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)


class Experiment(_Frozen):
    """One acquisition: where its images and tracks are, and what is known of them.

    Attributes
    ----------
    name
        Unique in the file; it may not hold ``/``, which separates the parts of a global track id.
    data_path
        OME-Zarr store: an HCS plate or a single position.
    tracks_path
        Tracking tables or a Cell Tracking Challenge folder, see :mod:`viscy_data.tables.tracks.read`.
    channels
        What the model sees, in this order; position i means the same in every experiment. Or, in a file of
        ``samples: channels``, whatever there is, each with what it shows: ``{Phase3D: phase, RFP: SEC61}``.
    markers
        What channels show, where ``channels`` say so; another channel shows what its name says.
    samples
        What a row of the table is; the file says it once, for all experiments.
    condition_wells
        Wells (``row/column``) of each condition; None: not known.
    interval_minutes, start_hpi, pixel_size_um
        Minutes between frames, 0 for a snapshot; hours post infection at frame 0; micrometres per pixel
        (None: as the store says).
    exclude_fovs
        Fields of view left out.
    track_names
        What the tracks call our columns, as ``{track_id: TRACK_ID, t: FRAME}``; for tables and GEFFs.
    track_unit
        Unit of places in tables and GEFFs: ``pixel``, or a length such as ``micrometer``. None: as the file
        says, else pixels, where places do not look like lengths.
    z
        The slice of cells, see :mod:`viscy_data.tables.z_policy`: that of the ``tracks``, the one in
        ``focus``, the ``middle`` one, or one by number; or one of these for each channel. None: that of the
        tracks, where it is not 0 throughout.
    focus_channel
        The channel whose focus counts for all; None: the first one.
    store_attributes
        What is taken from the attributes of the store, where other programs have computed it, and not from
        its pixels: ``normalization``, ``focus_slice``.
    normalization
        How intensities are normalised, one way for all channels or by channel; see
        :mod:`viscy_data.tables.normalizations`. None: by mean and standard deviation of the field of view.
    track_filter
        Boolean properties of a GEFF that nodes and links must have; None: ``solution``, where it is there.
    missing_parents
        A parent that is not a track of its field of view is an ``error``, or is ``cut``.
    columns
        Columns of one's own: text, numbers, or null for what is not known, the same in all rows.
    well_columns, cell_columns
        Tables (:class:`~viscy_data.tables.own_columns.fields.ColumnsFile`) that are joined by well, or by fov
        and track (and frame, where they have ``t``).
    track_columns
        Columns of the tracks that are kept: of tables, properties of nodes of a GEFF, attributes of
        TrackMate's spots.

    Examples
    --------
    >>> e = Experiment(name="a", data_path="a.zarr", tracks_path="a", channels=["Phase"],
    ...                condition_wells={"infected": ["B/3"]}, interval_minutes=30, start_hpi=3.0)
    >>> e.condition_of("B/3"), e.condition_of("B/4")
    ('infected', None)
    >>> e.hours(np.array([0, 1])).tolist()
    [3.0, 3.5]
    """

    name: Annotated[Text, Field(pattern="^[^/]+$")]
    data_path: PossiblePath
    tracks_path: PossiblePath
    channels: Annotated[Texts, Field(min_length=1)]
    markers: dict[Text, Text] = Field(default_factory=dict)
    samples: Samples = "cells"
    condition_wells: dict[Text, Texts] | None = None
    interval_minutes: Minutes | None = None
    start_hpi: Hours | None = None
    pixel_size_um: Micrometres | None = None
    exclude_fovs: Texts = ()
    track_names: dict[TrackColumn, Text] = Field(default_factory=dict)
    track_unit: LengthUnit | None = None
    z: Slices | None = None
    focus_channel: Text | None = None
    store_attributes: Annotated[tuple[StoreAttribute, ...], AfterValidator(unique)] = ()
    normalization: str | dict[str, Any] | None = None
    track_filter: Texts | None = None
    missing_parents: Literal["error", "cut"] = "error"
    columns: Constants = Field(default_factory=dict)
    well_columns: ColumnsFiles = ()
    cell_columns: ColumnsFiles = ()
    track_columns: Texts = ()

    @model_validator(mode="before")
    @classmethod
    def _channels_with_markers(cls, content: Any) -> Any:
        if not isinstance(content, Mapping) or not isinstance(content.get("channels"), Mapping):
            return content
        if content.get("markers"):
            raise ValueError("markers: channels say what they show already; write it in one of both")
        return {**content, "channels": list(content["channels"]), "markers": dict(content["channels"])}

    @model_validator(mode="after")
    def _markers_of_channels(self) -> Self:
        unknown = [name for name in self.markers if name not in self.channels]
        if unknown:
            raise ValueError(
                f"markers: {unknown[0]!r} is not among channels, which are {', '.join(self.channels)}."
                f"{suggest(unknown[0], self.channels)}"
            )
        return self

    @model_validator(mode="after")
    def _one_condition_per_well(self) -> Self:
        wells = [well for group in (self.condition_wells or {}).values() for well in group]
        twice = sorted({well for well in wells if wells.count(well) > 1})
        if twice:
            raise ValueError(f"condition_wells: a well under more than one condition: {', '.join(twice)}")
        return self

    @model_validator(mode="after")
    def _one_column_of_the_tracks_each(self) -> Self:
        names = {ours: ours for ours in get_args(TrackColumn.__value__)} | dict(self.track_names)
        for name in self.track_names.values():
            both = [one for one in names if names[one] == name]
            if len(both) > 1:
                raise ValueError(
                    f"track_names: {' and '.join(both)} would be read from one column, {shown(name)!r} "
                    "(those that are not named there have the names that they have here); give each its own"
                )
        return self

    @model_validator(mode="after")
    def _columns_have_names_of_their_own(self) -> Self:
        named = [("columns", list(self.columns)), ("track_columns", self.track_columns)]
        problems = list(name_problems(named))
        read = {name: ours for ours, name in self.track_names.items()}
        problems += [
            f"track_columns: column {name!r} is read as {read[name]!r} by track_names; leave it out"
            for name in self.track_columns
            if name in read
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @model_validator(mode="after")
    def _known_slices(self) -> Self:
        problems = z_problems(self.z, self.channels, self.focus_channel, self.store_attributes)
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def slices(self) -> ZPolicy:
        """Which slices its channels show."""
        return ZPolicy.of(self.z, self.channels, self.focus_channel, self.store_attributes)

    @model_validator(mode="after")
    def _known_normalization(self) -> Self:
        _ = self.normalizations
        return self

    def paths(self) -> Iterator[tuple[str, Path]]:
        """Yield every path that the experiment names, with its key."""
        yield from (("data_path", self.data_path), ("tracks_path", self.tracks_path))
        for key in ("well_columns", "cell_columns"):
            yield from ((key, one.path) for one in getattr(self, key))

    def with_paths(self, change: Callable[[Path], Path]) -> Self:
        """Return the experiment with every path changed."""
        tables = {
            key: tuple(one.model_copy(update={"path": change(one.path)}) for one in getattr(self, key))
            for key in ("well_columns", "cell_columns")
        }
        places = {key: change(getattr(self, key)) for key in ("data_path", "tracks_path")}
        return self.model_copy(update={**places, **tables})

    @property
    def normalizations(self) -> tuple[Normalization, ...]:
        """How each channel is normalised."""
        return normalizations_of(self.normalization, self.channels)

    def condition_of(self, well: str) -> str | None:
        """Return the condition of a well, or None where none is known."""
        groups = (self.condition_wells or {}).items()
        return next((condition for condition, wells in groups if well in wells), None)

    def marker_of(self, channel: str) -> str:
        """Return what a channel shows: its own name where the file does not say."""
        return self.markers.get(channel, channel)

    def is_snapshot(self, frames: int | None = None) -> bool:
        """Return whether no cell can be seen again later, given how many ``frames`` its longest movie has."""
        return self.interval_minutes == 0 or frames == 1

    def hours(self, t: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Return hours post infection of frames ``t`` (N,); NaN where clock or start is not known.

        Where all are frame 0, as in a snapshot, the start is enough: no interval is needed.
        """
        interval = self.interval_minutes
        if interval is None and not np.any(t):
            interval = 0.0
        if interval is None or self.start_hpi is None:
            return np.full(len(t), np.nan)
        return np.asarray(self.start_hpi + t * (interval / 60), dtype=np.float64)


class Experiments(_Frozen):
    """The experiments file, checked. Build it by :meth:`load`."""

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


@dataclass(frozen=True)
class FovInfo:
    """What tables must know of one field of view of a store.

    Attributes
    ----------
    fov
        ``row/column/position`` in an HCS plate; the path's stem for a single position.
    well
        ``row/column``; empty for a single position.
    shape
        (T, C, Z, Y, X).
    channels
        Names in the store, in its order.
    pixel_size_um
        Micrometres per pixel, (y, x); None: not known.
    notes
        What of the metadata was not understood, and what to do.
    slice_um
        Micrometres from slice to slice; None: not known.
    """

    fov: str
    well: str
    shape: tuple[int, int, int, int, int]
    channels: tuple[str, ...]
    pixel_size_um: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
    slice_um: float | None = None


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
