"""Collections of VisCy, and its experiments files of the earlier generation, both YAML.

A collection names what each channel shows, by well; it becomes a file with a row for each channel
(``samples: channels``). The earlier generation names the channels that a model sees, in order; it becomes a
file with a row for all channels of a cell. Either may be asked for the other way.

Words that say the same are renamed: ``perturbation_wells`` becomes ``condition_wells``, and as there a well
that it does not list is left out when the table is built. What else is known of an experiment (organelle,
microscope, date, moi) becomes columns of one's own.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from viscy_data.errors import ViscyDataError
from viscy_data.files.yaml_file import read_yaml
from viscy_data.importing.entries import (
    ROOT,
    Imported,
    Shown,
    channels_entry,
    explained,
    part_names,
    placed,
    without,
)
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.experiment_fields import Hours, Micrometres, Minutes, Samples, Text, Texts
from viscy_data.text import shown


def _listed(value: object) -> object:
    return () if value is None else value


def _filled(value: object) -> object:
    return None if value == "" else value


_Said = Annotated[Text | None, BeforeValidator(_filled)]
_Names = Annotated[Texts, BeforeValidator(_listed)]
_Wells = dict[Text, Texts]
_Plain = Text | int | float | date | None


class _Read(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)


class _Channel(_Read):
    name: Text
    marker: _Said = None
    wells: _Names = ()


class _Entry(_Read):
    name: Text
    data_path: Text
    tracks_path: Text
    interval_minutes: Minutes | None = None
    start_hpi: Hours | None = None
    organelle: _Said = None


class _OfCollection(_Entry):
    channels: Annotated[tuple[_Channel, ...], Field(min_length=1)]
    perturbation_wells: _Wells | None = None
    exclude_fovs: _Names = ()
    marker: _Said = None
    microscope: _Said = None
    pixel_size_xy_um: Micrometres | None = None
    pixel_size_z_um: Micrometres | None = None


class _OfEarlier(_Entry):
    channel_names: _Names = ()
    source_channel: Annotated[Texts, Field(min_length=1)]
    condition_wells: _Wells | None = None
    date: _Plain = None
    moi: _Plain = None


_TOP: Final = ("name", "description", "datasets_root", "experiments")


def read_yaml_file(
    source: Path,
    out: Path,
    samples: Samples | None,
    datasets_root: str | None,
    leave_out: Sequence[str],
) -> tuple[Imported, Samples]:
    """Return the entries of a collection, or of an experiments file of the earlier generation."""
    content = read_yaml(source, "collection")
    imported = Imported()
    entries = content.get("experiments") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries) or not entries:
        imported.problems.append("the file must be a mapping with the key 'experiments', a list of mappings")
        return imported, "cells"
    earlier = any({"channel_names", "source_channel"} & set(one) for one in entries)
    if not earlier and any(_is_ours(one) for one in entries):
        imported.problems.append(
            "it is an experiments file already, and nothing is to be imported: viscy-data index takes it"
        )
        return imported, "cells"
    imported.problems += [
        f"unknown key {shown(key)!r}, which cannot be carried; leave it out (--leave-out {shown(key)})"
        for key in content
        if key not in _TOP and key not in leave_out
    ]
    given = [content.get(key) for key in ("name", "description")]
    imported.description = "\n".join(str(one) for one in given if one)
    rows: Samples = samples or ("cells" if earlier else "channels")
    root = datasets_root if datasets_root is not None else content.get("datasets_root")
    for i, entry in enumerate(entries):
        kept = without(entry, leave_out)
        where = f"experiment {shown(entry.get('name', i))!r}"
        try:
            read = (_OfEarlier if earlier else _OfCollection).model_validate(kept)
            paths = {key: _rooted(getattr(read, key), root, key) for key in ("data_path", "tracks_path")}
            made = list(_entries(read, paths, source, rows, imported.notes))
        except ValidationError as error:
            imported.problems += [f"{where}: {said}" for said in explained(error)]
        except (ViscyDataError, ValueError) as error:
            imported.problems.append(f"{where}: {error}")
        else:
            paths = {key: placed(path, source, out) for key, path in paths.items()}
            imported.entries += [{**one, **paths} for one in made]
    return imported, rows


def _is_ours(entry: Mapping[str, Any]) -> bool:
    channels = entry.get("channels")
    return isinstance(channels, dict) or (
        isinstance(channels, list) and bool(channels) and not any(isinstance(one, dict) for one in channels)
    )


def _rooted(path: str, root: object, key: str) -> str:
    if ROOT in path:
        if not isinstance(root, str) or not root:
            raise ValueError(
                f"{key}={shown(path, 200)!r}: the file does not say datasets_root; give it (--datasets-root)"
            )
        path = path.replace(ROOT, root.rstrip("/"))
    if "${" in path:
        raise ValueError(f"{key}={shown(path, 200)!r}: only {ROOT} is known; write the path out")
    return path


def _entries(
    read: _Entry, paths: Mapping[str, str], source: Path, samples: Samples, notes: list[str]
) -> Iterator[dict[str, Any]]:
    """Yield the entries that one of VisCy's becomes."""
    shared: dict[str, Any] = {
        "name": read.name,
        **paths,
        "channels": [],
        "condition_wells": None,
        "interval_minutes": read.interval_minutes,
        "start_hpi": read.start_hpi,
        "pixel_size_um": None,
        "exclude_fovs": [],
    }
    columns: dict[str, Any] = {"organelle": read.organelle}
    if isinstance(read, _OfEarlier):
        shared["condition_wells"] = _wells(read.condition_wells)
        unknown = [name for name in read.source_channel if name not in read.channel_names]
        if unknown and read.channel_names:
            raise ValueError(f"source_channel={unknown[0]!r}: channel_names lack it; correct one of both")
        columns |= {"date": read.date, "moi": read.moi}
        yield _with_columns(
            shared | channels_entry([Shown(name) for name in read.source_channel], samples), columns
        )
        return
    assert isinstance(read, _OfCollection)
    shared["condition_wells"] = _wells(read.perturbation_wells)
    shared["pixel_size_um"] = read.pixel_size_xy_um
    columns |= {"microscope": read.microscope, "pixel_size_z_um": read.pixel_size_z_um}
    channels = read.channels
    if read.marker and len(channels) == 1 and channels[0].marker is None:
        channels = (channels[0].model_copy(update={"marker": read.marker}),)
    elif read.marker and read.marker not in {one.marker for one in channels}:
        columns["experiment_marker"] = read.marker
    parts = _parts(channels, paths, source)
    names = part_names(read.name, [list(shown_here) for shown_here, _ in parts])
    if len(parts) > 1:
        notes.append(
            f"{read.name}: channels show different things in different wells; it becomes {len(parts)} "
            f"experiments: {', '.join(map(shown, names))}"
        )
    for name, (shown_here, others) in zip(names, parts, strict=True):
        excluded = list(dict.fromkeys([*read.exclude_fovs, *others]))
        own = {"name": name, "exclude_fovs": excluded} | channels_entry(shown_here, samples)
        yield _with_columns(shared | own, columns)


def _parts(
    channels: Sequence[_Channel], paths: Mapping[str, str], source: Path
) -> list[tuple[tuple[Shown, ...], tuple[str, ...]]]:
    """Return each set of channels that wells have, with the fields of view of the other wells."""
    if not any(one.wells for one in channels):
        names = [one.name for one in channels]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"channels: {twice[0]!r} is listed twice; give each its wells")
        return [(tuple(Shown(one.name, one.marker) for one in channels), ())]
    fovs = _fovs_of(paths, source, [one.name for one in channels])
    known = {info.well for info in fovs}
    for one in channels:
        for well in one.wells:
            if well not in known:
                raise ValueError(f"channels: {one.name!r} is of well {well!r}, which is not in the store")
    by_set: dict[tuple[Shown, ...], list[str]] = defaultdict(list)
    for well in sorted(known):
        here = tuple(Shown(one.name, one.marker) for one in channels if not one.wells or well in one.wells)
        names = [one.channel for one in here]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"channels: {twice[0]!r} shows two things in well {well!r}; keep one")
        if here:
            by_set[here].append(well)
    return [
        (here, tuple(info.fov for info in fovs if info.well not in wells)) for here, wells in by_set.items()
    ]


def _fovs_of(paths: Mapping[str, str], source: Path, channels: Sequence[str]) -> list[FovInfo]:
    """Return what the store holds: channels that differ by well split it."""
    from viscy_data.images.fovs import describe  # noqa: PLC0415  opens stores

    path = source.absolute().parent / paths["data_path"]
    return describe(
        Experiment(name="a", data_path=path, tracks_path=path, channels=tuple(dict.fromkeys(channels)))
    )


def _wells(groups: Mapping[str, Sequence[str]] | None) -> dict[str, list[str]] | None:
    return {label: list(wells) for label, wells in groups.items()} if groups else None


def _with_columns(entry: dict[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    known = {
        key: value.isoformat() if isinstance(value, date) else value
        for key, value in columns.items()
        if value is not None
    }
    return {**entry, "columns": known} if known else entry
