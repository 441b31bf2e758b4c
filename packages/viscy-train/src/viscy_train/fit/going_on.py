"""Going on from a checkpoint: with its options, or not at all.

A run that goes on with other options than it began with is neither of both, and Lightning's command line
lets the checkpoint's options replace those on the command line without a word. Here options that the user
states must be those of the checkpoint, others are taken from it, and what does not change the run - the
trainer, loggers, workers, how data are read - is free.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from jsonargparse import Namespace
from torch import nn

from viscy_data import InvalidInputError
from viscy_train.encoder import is_class_path
from viscy_train.fit.from_table import SetUp
from viscy_train.fit.packaged import namespace_of
from viscy_train.packed.trained_on import KEY

_SECTIONS = {"model": "hyper_parameters", "data": "datamodule_hyper_parameters"}

# the table may have moved: whether it is the same is seen from what it holds
_FREE = {"data.anchors"}

# of what a model is trained on: experiments may get other names, and stores may move
_OF_PATCHES = (
    *("samples", "channels", "patch_size", "slices", "pixel_size_um", "slice_um", "z"),
    *("normalization", "border", "positive", "pairing", "tau"),
)

_BACKBONE = "model.encoder.backbone"
_BY = "data.pairing.by"


def take_options(setup: SetUp, checkpoint: Mapping[str, Any]) -> set[str]:
    """Give the run the checkpoint's options; note which of those stated differ; return their names."""
    taken = set()
    for section, holder in _SECTIONS.items():
        for path, there in _leaves(setup.config[section], checkpoint[holder]):
            option = ".".join([section, *path])
            if option in _FREE:
                continue
            taken.add(option)
            if option == _BACKBONE and is_class_path(str(there)) and not setup.states(option):
                setup.refuse(
                    f"{option}={there!r} of the checkpoint is a class whose code would run; where it is "
                    f"yours, say so: --{option} {there}"
                )
                continue
            here = _plain(setup.config[option])
            if option == _BY and isinstance(here, str):
                here = [here]  # one column goes by its name, too
            if here == _plain(there):
                continue
            if setup.states(option):
                setup.refuse(
                    f"{option}={here!r}: the checkpoint was trained with {_plain(there)!r}; leave it out, or "
                    "begin a new run without --ckpt_path"
                )
            else:
                setup.config[option] = namespace_of(there) if there else there
    return taken


def note_end(setup: SetUp, checkpoint: Mapping[str, Any]) -> None:
    """Note where nothing is left to train."""
    step, last = checkpoint.get("global_step", 0), setup.config.trainer.max_steps
    if last is not None and 0 <= last <= step:
        setup.refuse(
            f"trainer.max_steps={last}: the checkpoint holds step {step}: nothing is left to train; raise it"
        )


def refuse_other_weights(module: nn.Module, checkpoint: Mapping[str, Any], path: str) -> None:
    """Refuse a checkpoint whose weights are not those of the model.

    Raises
    ------
    InvalidInputError
        Names or shapes differ.
    """
    here = {name: tuple(weight.shape) for name, weight in module.state_dict().items()}
    held = checkpoint["state_dict"]
    there = {name: tuple(getattr(weight, "shape", ())) for name, weight in dict(held).items()}
    differing = sorted(name for name in {*here, *there} if here.get(name) != there.get(name))
    if differing:
        raise InvalidInputError(
            f"ckpt_path={path!r} is of another model: {len(differing)} weights differ, first {differing[0]} "
            f"({there.get(differing[0], 'none')} there, {here.get(differing[0], 'none')} here)."
        )


def refuse_other_patches(here: Mapping[str, Any], checkpoint: Mapping[str, Any], path: str) -> None:
    """Refuse a checkpoint that was trained on patches that show something else, or on other positives.

    Parameters
    ----------
    here : mapping
        What the run's model would be trained on, as plain values of `TrainedOn`.
    checkpoint : mapping
        One that says it, too; of others nothing is known.
    path : str
        Of the checkpoint.

    Raises
    ------
    InvalidInputError
        What a patch shows, or what its positive is, differs.
    """
    there = checkpoint["datamodule_hyper_parameters"].get(KEY)
    if not isinstance(there, Mapping):
        return
    for name in _OF_PATCHES:
        before, now = _plain(there.get(name)), _plain(here.get(name))
        if before != now:
            raise InvalidInputError(
                f"ckpt_path={path!r} was trained with {name}={before!r:.300}, and data.anchors gives "
                f"{now!r:.300}: the table has changed; index as before, or begin a new run without "
                "--ckpt_path."
            )


def _leaves(config: Any, values: Mapping[str, Any]) -> Iterator[tuple[list[str], Any]]:
    """Yield the path and the checkpoint's value of each option that both have."""
    for name, value in values.items():
        if name not in config:
            continue
        here = config[name]
        if isinstance(here, Namespace) and isinstance(value, Mapping):
            for path, leaf in _leaves(here, value):
                yield [name, *path], leaf
        else:
            yield [name], value


def _plain(value: Any) -> Any:
    """Return values that compare as they read: tuples are lists, namespaces mappings."""
    if isinstance(value, Namespace):
        value = value.as_dict()
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
