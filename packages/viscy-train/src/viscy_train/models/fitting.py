"""A table read as a model was trained: channels by name, at the size trained at, or refused by name.

A model takes patches as numbers and cannot tell that they mean something else: swapped channels or pixels
of another size give embeddings that look like any others, and are wrong. So whatever decides what a patch
shows is compared before a cell is read. What can be made the same is: channels are put in order, patches
resampled, intensities normalised as in training. What cannot is refused in one report. What somebody judges
to be alike all the same can be *accepted* by its name.
"""

import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from viscy_data import (
    AnchorDataset,
    AnchorsMetadata,
    Experiment,
    Experiments,
    InvalidInputError,
    Reading,
    ZWindow,
    read_metadata,
    shown,
    suggest,
)
from viscy_train.packed import TrainedOn

ACCEPTED: Final = {
    "pixel_size": "patches are cut in the stores' own pixels, whatever was trained at",
    "slice_um": "slices may lie closer or farther apart than in training",
    "z": "cells may have their slice by another rule than in training",
    "border": "patches at borders may be made otherwise than in training",
}
"""What may be accepted, and what it means."""


@dataclass
class _Report:
    """What does not fit, and what somebody should know."""

    accepted: Collection[str]
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def refuse(self, text: str, name: str = "") -> None:
        """Note what does not fit; where it was accepted by its name, only to say it."""
        if name in self.accepted:
            self.notes.append(text)
        else:
            self.problems.append(f"{text}, or accept it: --accept {name}" if name else text)

    def close(self, named: str) -> None:
        """Raise what does not fit, and warn of the rest."""
        if self.problems:
            each = [f"  {number}. {text}." for number, text in enumerate(self.problems, 1)]
            one = f" {self.problems[0]}." if len(self.problems) == 1 else "\n" + "\n".join(each)
            raise InvalidInputError(f"{named} does not fit the model:{one}")
        for text in self.notes:
            warnings.warn(f"{named}: {text}.", stacklevel=4)


def open_as_trained(
    trained: TrainedOn,
    anchors: str | Path,
    *,
    channels: Mapping[str, str] | None = None,
    accept: Collection[str] = (),
    reading: Reading = Reading(),  # noqa: B008 frozen
) -> AnchorDataset:
    """Open a table so that its patches are those that a model was trained on.

    Parameters
    ----------
    trained : TrainedOn
        Of the model.
    anchors : str or Path
        The table.
    channels : mapping, optional
        The table's names of channels, or of what they show, by the model's names.
    accept : collection of str
        Names of `ACCEPTED`.
    reading : Reading
        How pixels are read.

    Raises
    ------
    InvalidInputError
        Naming all that does not fit.
    """
    named = f"anchors={str(anchors)!r}"
    for name in accept:
        if name not in ACCEPTED:
            raise InvalidInputError(
                f"accept={name!r}: {', '.join(ACCEPTED)} are allowed.{suggest(name, list(ACCEPTED))}"
            )
    file = read_metadata(anchors)
    report = _Report(accept)
    experiments = _in_order(trained, file.experiments, dict(channels or {}), report)
    _compare_borders(trained, file, report)
    report.close(named)
    at = None if "pixel_size" in accept else trained.pixel_size_um
    if trained.pixel_size_um is None:
        report.notes.append(
            "the model does not know its pixel size; patches are cut as the table was indexed"
        )
    try:
        dataset = AnchorDataset(
            anchors,
            experiments=experiments,
            patch_size=trained.patch_size,
            pixel_size_um=at,
            positive="self",
            reading=reading,
            z_window=_window(trained, experiments, dict(channels or {})),
            normalization=_normalization(trained, experiments, dict(channels or {})),
        )
    except InvalidInputError as error:
        size = " x ".join(map(str, trained.patch_size))
        raise InvalidInputError(
            f"{named} cannot be read as the model was trained, in patches of {size} pixels and "
            f"{trained.slices} slices: {error}"
        ) from error
    _compare_depths(trained, file, dataset, report)
    _compare_scales(trained, dataset, report)
    report.close(named)
    return dataset


def _window(trained: TrainedOn, experiments: Experiments, given: Mapping[str, str]) -> ZWindow:
    """Return the slices of a patch; projections by channel are by the names of this table.

    Raises
    ------
    InvalidInputError
        Rows are channels, and how one of them is projected is not known.
    """
    options = {name: value for name, value in trained.z.items() if name != "policies"}
    by_channel = options.get("projection")
    if isinstance(by_channel, Mapping) and trained.samples == "cells":
        methods = [
            next((by_channel[name] for name in names if name in by_channel), "slice")
            for names in trained.channels
        ]
        options["projection"] = {
            name: method
            for one in experiments.experiments
            for name, method in zip(one.channels, methods, strict=True)
        }
    elif isinstance(by_channel, Mapping):
        options["projection"] = _by_own_name(by_channel, experiments, given, "projected")
    try:
        return ZWindow(**{**options, "slices": trained.slices, "shift": 0})
    except TypeError as error:
        raise InvalidInputError(f"z of the model is not of this version ({error}); fit it anew") from error


def _normalization(trained: TrainedOn, experiments: Experiments, given: Mapping[str, str]) -> Any:
    """Return how each channel is normalised: in the model's order, or by the names of this table.

    Raises
    ------
    InvalidInputError
        Rows are channels, and how one of them is normalised is not known.
    """
    by_name = trained.normalization
    if not isinstance(by_name, Mapping) or trained.samples == "cells":
        return by_name
    known = list(by_name.values())
    if all(one == known[0] for one in known):
        return known[0]
    return _by_own_name(by_name, experiments, given, "normalised")


def _by_own_name(
    by_name: Mapping[str, Any], experiments: Experiments, given: Mapping[str, str], done: str
) -> dict[str, Any]:
    """Return what was chosen for a model's channels, or for what they show, by the names of this table."""
    ours = {theirs: name for name, theirs in given.items()}
    found = {}
    for one in experiments.experiments:
        for name in one.channels:
            called = [name, one.marker_of(name), ours.get(name), ours.get(one.marker_of(name))]
            choice = next((by_name[own] for own in called if own is not None and own in by_name), None)
            if choice is None:
                raise InvalidInputError(
                    f"channels: experiment={one.name!r}: how {name!r} was {done} in training is not "
                    f"known; say which it is: --channels NAME={name}, of {_listed(list(by_name))}"
                )
            found[name] = choice
    return found


def _in_order(
    trained: TrainedOn, experiments: Experiments, given: dict[str, str], report: _Report
) -> Experiments:
    """Return experiments whose channels are those of the model, in its order."""
    if experiments.samples != trained.samples:
        says = {"cells": "a row for each cell", "channels": "a row for each channel of a cell"}
        report.refuse(
            f"samples: the table has {says[experiments.samples]}, and the model was trained on "
            f"{says[trained.samples]}; write "
            f"'samples: {trained.samples}' in the experiments file, and index again"
        )
        return experiments
    known = [name for place in trained.channels for name in place]
    for name in given:
        if name not in known:
            report.refuse(
                f"channels: the model has no channel {shown(name, 200)!r}; it has {_listed(known)}."
                f"{suggest(name, known)} Give MODEL=TABLE"
            )
    there = {name for one in experiments.experiments for name in _names(one)}
    for ours, theirs in given.items():
        if theirs not in there:
            report.refuse(
                f"channels: {ours}={shown(theirs, 200)}: the table has no channel of that name; it has "
                f"{_listed(sorted(there))}{suggest(theirs, sorted(there))}"
            )
    if report.problems:
        return experiments
    if trained.samples == "channels":
        _check_markers(set(known) | set(given.values()), experiments, report)
        return experiments
    ordered = [
        one.model_copy(update={"channels": tuple(_channels_of(one, trained, given, report))})
        for one in experiments.experiments
    ]
    return experiments.model_copy(update={"experiments": tuple(ordered)})


def _names(experiment: Experiment) -> list[str]:
    """Return names of channels and of what they show."""
    return [*experiment.channels, *map(experiment.marker_of, experiment.channels)]


def _channels_of(
    experiment: Experiment, trained: TrainedOn, given: dict[str, str], report: _Report
) -> Iterator[str]:
    """Yield the channel at each of the model's places; note those that are not there."""
    taken: dict[str, int] = {}
    for place, names in enumerate(trained.channels):
        stated = [given[name] for name in names if name in given]
        # what was stated first; then the channels' own names, before what they show
        for wanted in (stated, names):
            found = [one for one in experiment.channels if one in wanted]
            found = found or [one for one in experiment.channels if experiment.marker_of(one) in wanted]
            if found:
                break
        called = names[0] if len(names) == 1 else f"{names[0]} (also {_listed(names[1:])})"
        has = _listed(experiment.channels)
        if not found:
            report.refuse(
                f"channels: experiment={experiment.name!r} has no channel {called}; it has {has}. Say which "
                f"it is (--channels {names[0]}=NAME), or index that channel, too"
            )
        elif len(found) > 1:
            report.refuse(
                f"channels: experiment={experiment.name!r}: {_listed(found)} may each be {called}; say "
                f"which it is: --channels {names[0]}=NAME"
            )
        elif found[0] in taken:
            report.refuse(
                f"channels: experiment={experiment.name!r}: {found[0]!r} would be both "
                f"{trained.channels[taken[found[0]]][0]} and {names[0]}; give each its own"
            )
        else:
            taken[found[0]] = place
            yield found[0]


def _check_markers(known: Collection[str], experiments: Experiments, report: _Report) -> None:
    for one in experiments.experiments:
        markers = list(map(one.marker_of, one.channels))
        foreign = [name for name in dict.fromkeys(markers) if name not in known]
        if foreign:
            report.refuse(
                f"channels: experiment={one.name!r}: the model has not seen {_listed(foreign)}; it has seen "
                f"{_listed(sorted(known))}. Say what it is (--channels MODEL=TABLE), or leave the channel "
                "out and index again"
            )


def _compare_borders(trained: TrainedOn, file: AnchorsMetadata, report: _Report) -> None:
    # a table without the cells at borders has the same patches of the others
    if file.border not in (trained.border, "drop"):
        report.refuse(
            f"border={file.border!r}: the model was trained with {trained.border!r}; index again with "
            f"--border {trained.border}",
            "border",
        )


def _compare_depths(
    trained: TrainedOn, file: AnchorsMetadata, dataset: AnchorDataset, report: _Report
) -> None:
    deepest, was = dataset.shown.depths[1], trained.depths[1]
    if deepest == 1:
        return
    if was == 1:
        report.notes.append(
            f"stacks have up to {deepest} slices, and the model was trained on images of one; each cell is "
            "embedded in the slice that the table says"
        )
        return
    policies = [str(one) for one in trained.z.get("policies", [])]
    held = set(dataset.shown.experiments)
    own = {
        one.name: "tracks" if one.z is None else str(one.z)
        for one in file.experiments.experiments
        if one.name in held
    }
    other = {name: rule for name, rule in own.items() if policies and rule not in policies}
    if other:
        name, rule = next(iter(other.items()))
        report.refuse(
            f"z={rule!r}: experiment={name!r} and {len(other) - 1} others have slices by another rule than "
            f"the model was trained with ({_listed(policies)}); set it in the experiments file, and "
            "index again",
            "z",
        )


def _compare_scales(trained: TrainedOn, dataset: AnchorDataset, report: _Report) -> None:
    if trained.slices == 1:
        return
    own, was = dataset.shown.slice_um, trained.slice_um
    if own is None or was is None:
        report.notes.append("whether slices lie as far apart as in training is not known")
    elif max(own, was) > 1.1 * min(own, was):
        report.refuse(
            f"slice_um={own:g}: slices lay {was:g} um apart in training, and stacks are not resampled along "
            "z; resample them before",
            "slice_um",
        )


def _listed(names: Collection[str]) -> str:
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return ", ".join(shown(name, 100) for name in list(names)[:12]) + more
