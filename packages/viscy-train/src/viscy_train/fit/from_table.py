"""What a run takes from its table, so that nobody has to say it twice.

A table says how many channels a patch has, how large it is, which conditions and hours are known and how
many anchors each part holds. Options that a user stated win where the table allows them; those that it does
not allow are named all at once, before anything is built or written. Options of a packaged configuration are
only wishes: they give way to the table, each with a line that says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from jsonargparse import Namespace

from viscy_data import (
    Experiments,
    Geometry,
    Intensity,
    InvalidInputError,
    Pairing,
    TauRange,
    read_metadata,
    read_valid_anchors,
)
from viscy_data.columns import CONDITION, EXPERIMENT, HOURS, LINEAGE_ID
from viscy_train.datamodule import PatchOptions
from viscy_train.encoder import EncoderOptions, check_backbone
from viscy_train.module import LossOptions, OptimizerOptions
from viscy_train.packed import read_card
from viscy_train.packed.card import parse_card
from viscy_train.parts import BatchOptions, SplitOptions, choose_training, parts_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

_COLUMNS = [EXPERIMENT, CONDITION, HOURS, LINEAGE_ID]


@dataclass
class SetUp:
    """A run being set up.

    Parameters
    ----------
    config : Namespace
        Of ``fit``; changed in place.
    given : set of str
        Options that the user stated, by their dotted names.

    Attributes
    ----------
    said : list of str
        What was taken from the table.
    problems : list of str
        What cannot be.
    """

    config: Namespace
    given: set[str]
    said: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def refuse(self, text: str) -> None:
        """Note what cannot be, once."""
        if text not in self.problems:
            self.problems.append(text)

    def states(self, option: str) -> bool:
        """Return whether the user stated an option; null is as good as nothing."""
        given = any(one == option or one.startswith(f"{option}.") for one in self.given)
        return given and self.config[option] is not None

    def take(self, option: str, value: Any, reason: str) -> None:
        """Give an option the value of the table, or note that another one was stated."""
        if self.states(option):
            if self.config[option] != value:
                self.refuse(f"{option}={self.config[option]!r}: {reason}; leave it out, or set {value!r}")
            return
        self.config[option] = value
        self.said.append(f"{option}={value!r}: {reason}")

    def refuse_all(self) -> None:
        """Raise all problems as one error.

        Raises
        ------
        InvalidInputError
            There are any.
        """
        if len(self.problems) == 1:
            raise InvalidInputError(self.problems[0])
        if self.problems:
            listed = "\n".join(f"  {number}. {text}" for number, text in enumerate(self.problems, 1))
            raise InvalidInputError(f"{len(self.problems)} options cannot be:\n{listed}")


def set_up_from_table(setup: SetUp) -> None:
    """Take from the table what it says, and note what cannot be."""
    _check_values(setup)
    data = setup.config.data
    try:
        file = read_metadata(data.anchors)
        pairing = _pairing_of(data.pairing)
        valid = read_valid_anchors(
            data.anchors,
            columns=_COLUMNS,
            positive=data.patches.positive,
            pairing=pairing,
            parts=_parts_of(setup, pairing),
        )
    except InvalidInputError as error:
        setup.refuse(f"data.anchors: {error}")
        return
    channels = file.experiments.patch_channels
    named = ", ".join(map(str, channels))
    by_channel = file.experiments.samples == "channels"
    reason = "a row of the table is one channel" if by_channel else f"the table's channels are {named}"
    setup.take("model.encoder.in_channels", len(channels), reason)
    _check_beginning(setup, file.experiments)
    _take_depth(setup)
    size = data.patches.size or file.patch_size
    _take_crop(setup, (int(size[0]), int(size[1])))
    _take_batch_size(setup, valid)
    _take_axes(setup, valid)


def _check_beginning(setup: SetUp, experiments: Experiments) -> None:
    """Compare the table's channels with those of the model that training begins with, by name."""
    path = setup.config.model.get("init_from")
    if path is None:
        return
    try:
        trained = parse_card(read_card(path), f"model={path!r}").trained_on
    except (InvalidInputError, FileNotFoundError) as error:
        setup.refuse(f"model.init_from: {error}")
        return
    if trained.samples != experiments.samples:
        setup.refuse(
            f"model.init_from={path!r}: its rows were {trained.samples}, and the table's are "
            f"{experiments.samples}; write 'samples: {trained.samples}' in the experiments file and index"
        )
        return
    for one in experiments.experiments if trained.samples == "cells" else ():
        for place, name in enumerate(one.channels):
            # a channel's own name first, as embed takes it; then what it shows
            own = [at for at, names in enumerate(trained.channels) if name in names]
            marker = one.marker_of(name)
            elsewhere = own or [at for at, names in enumerate(trained.channels) if marker in names]
            if elsewhere and place not in elsewhere:
                setup.refuse(
                    f"model.init_from={path!r}: {name!r} is its channel {elsewhere[0]}, and channel {place} "
                    f"of experiment={one.name!r}; put channels in its order in the experiments file, and "
                    "index again"
                )
    setup.said.append(
        f"model.init_from={path!r}: of channels {', '.join(names[0] for names in trained.channels)}, "
        f"pixels of {trained.pixel_size_um or 'unknown'} um"
    )


def _check_values(setup: SetUp) -> None:
    """Build the options, which check themselves."""
    model, data = setup.config.model, setup.config.data
    kinds: dict[str, tuple[Callable[..., object], Any]] = {
        "model.encoder": (EncoderOptions, model.encoder),
        "model.loss": (LossOptions, model.loss),
        "model.optimizer": (OptimizerOptions, model.optimizer),
        "model.geometry": (Geometry, model.geometry),
        "model.intensity": (Intensity, model.intensity),
        "data.batches": (BatchOptions, data.batches),
        "data.split": (SplitOptions, data.split),
        "data.patches": (PatchOptions, data.patches),
    }
    for name, (kind, values) in kinds.items():
        try:
            kind(**values.as_dict())
        except (ValueError, TypeError) as error:
            setup.refuse(f"{name}: {error}")


def _parts_of(setup: SetUp, pairing: Pairing) -> "NDArray[np.int8] | None":
    """Return the part of each row, where it matters; a split that cannot be is refused with the others."""
    if pairing.by is None:
        return None
    data = setup.config.data
    try:
        return parts_of(data.anchors, SplitOptions(**data.split.as_dict()), pairing)
    except ValueError as error:
        setup.refuse(f"data.split: {error}")
        return None


def _pairing_of(values: Namespace) -> Pairing:
    """Build the pairing, whose range of times is a value of its own."""
    given = dict(values.as_dict())
    if isinstance(given.get("tau"), Mapping):
        given["tau"] = TauRange(**given["tau"])
    return Pairing(**given)


def _take_depth(setup: SetUp) -> None:
    """Slices of a patch: those that the data are asked for."""
    depth, window = "model.encoder.depth", "data.patches.z_window"
    if setup.config.data.patches.z_projection is not None:
        setup.take(depth, 1, "data.patches.z_projection leaves one slice")
    elif setup.states(depth) and not setup.states(window):
        setup.take(window, setup.config[depth], f"as {depth}")
    else:
        setup.take(depth, setup.config[window], f"as {window}")
    try:
        with torch.random.fork_rng(devices=[]):  # weights are drawn, and thrown away
            check_backbone(EncoderOptions(**setup.config.model.encoder.as_dict()))
    except (ValueError, TypeError, RuntimeError) as error:
        setup.refuse(f"model.encoder: {error}")


def _take_crop(setup: SetUp, patch: tuple[int, int]) -> None:
    """Three quarters of the patch: the margin is room for rotation."""
    if "model.crop" not in setup.given:
        crop = (_three_quarters(patch[0]), _three_quarters(patch[1]))
        setup.config.model.crop = crop
        setup.said.append(f"model.crop={crop}: of patches of {patch[0]} x {patch[1]}, with room for rotation")
        return
    crop = setup.config.model.crop
    if crop is not None and (crop[0] > patch[0] or crop[1] > patch[1]):
        setup.refuse(
            f"model.crop={list(crop)}: patches have {patch[0]} x {patch[1]} pixels; lower it, or raise "
            "data.patches.size"
        )


def _three_quarters(length: int) -> int:
    """Return three quarters as a multiple of 16, but not below the 32 pixels that ConvNeXt needs.

    Examples
    --------
    >>> [_three_quarters(length) for length in (192, 64, 40, 24)]
    [144, 48, 32, 24]
    """
    return max(length * 3 // 4 // 16 * 16, min(length, 32))


def _take_batch_size(setup: SetUp, valid: pd.DataFrame) -> None:
    """As wished, or the largest power of two that the smallest part holds."""
    try:
        training = choose_training(valid, SplitOptions(**setup.config.data.split.as_dict()))
    except ValueError as error:
        setup.refuse(f"data.split: {error}")
        return
    parts = {"training": int(training.sum()), "validation": int((~training).sum())}
    parts = {name: count for name, count in parts.items() if count or name == "training"}
    name, least = min(parts.items(), key=lambda part: part[1])
    option = "data.batches.batch_size"
    wish = setup.config[option]
    if not isinstance(wish, int) or wish <= least:
        return
    if setup.states(option) or least < 2:
        setup.refuse(
            f"{option}={wish}: {name} holds {least} of {len(valid)} anchors; lower it, or change "
            "data.split.fraction or held_out"
        )
        return
    setup.config[option] = 1 << (least.bit_length() - 1)
    setup.said.append(f"{option}={setup.config[option]}: {name}, the smallest part, holds {least:,} anchors")


def _take_axes(setup: SetUp, valid: pd.DataFrame) -> None:
    """Balance conditions and focus on hours only where they are known."""
    axes = {
        "data.batches.condition_balanced": (CONDITION, "condition_wells"),
        "data.batches.temporal_enrichment": (HOURS, "interval_minutes and start_hpi"),
    }
    for option, (column, key) in axes.items():
        if not setup.config[option]:
            continue
        unknown = sorted(map(str, valid.loc[valid[column].isna(), EXPERIMENT].unique()))
        if not unknown:
            continue
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        reason = f"{column} is not known in {', '.join(unknown[:3])}{more}"
        if setup.states(option):
            setup.refuse(
                f"{option}=True: {reason}; leave it out, or set {key} in the experiments file and index again"
            )
        else:
            setup.config[option] = False
            setup.said.append(f"{option}=False: {reason} ({key} in the experiments file)")
