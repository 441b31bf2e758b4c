"""One experiment: what a user says of one acquisition, and what its store says of each field of view.

Movies come from different microscopes, with clocks, stains and pixel sizes of their own, and seldom is all of
that known. If each part of the package asked for what it needs, two parts would fill one gap differently. So
an *experiment*, which is one acquisition with its OME-Zarr store, its tracks, its channels and its clock, is
one frozen value that holds all that its user knows, and its fields are compared with each other when it is
made. A value that is None is *not known*; nothing here invents one.

Therefore whoever is given an :class:`Experiment` need not check it again, and what a None takes away (hours,
resampling, balance) is refused where it is asked for, with the experiment's name. An experiment knows nothing
of others (:mod:`viscy_data.tables.experiments`) and opens no file: what must be known of a store arrives as
:class:`FovInfo`, so that tables need no library that reads images.

Cost: whether a store has these channels and wells is not known before somebody compares the two.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from viscy_data.errors import suggest
from viscy_data.tables.experiment_fields import (
    Hours,
    LengthUnit,
    Micrometres,
    Minutes,
    Name,
    PossiblePath,
    Samples,
    Slices,
    StoreAttribute,
    Text,
    Texts,
    TrackColumn,
    unique,
)
from viscy_data.tables.normalizations import Normalization, normalizations_of
from viscy_data.tables.own_columns.fields import ColumnsFiles, Constants, name_problems
from viscy_data.tables.z_policy import ZPolicy, z_problems
from viscy_data.text import shown


class Experiment(BaseModel):
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

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    name: Name
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
