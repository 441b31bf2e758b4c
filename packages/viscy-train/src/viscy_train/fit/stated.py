"""Which options a user states, on the command line or in a configuration of their own.

A packaged configuration states some, too, but as wishes that give way to the table, so the two have to be
told apart. Configurations are read strictly and within bounds before anything else reads them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lightning.pytorch.cli import LightningArgumentParser

from viscy_data import InvalidInputError, read_yaml
from viscy_train.datamodule import AnchorDataModule
from viscy_train.fit.packaged import own_configurations
from viscy_train.module import ContrastiveModule

_SECTIONS = ("model", "data")


def check_configurations(arguments: Sequence[str]) -> None:
    """Read the user's configurations.

    Raises
    ------
    InvalidInputError
        One is not a mapping of names.
    ViscyDataError
        One is not YAML, gives a key twice, or is too large.
    """
    for path in own_configurations(arguments):
        if path.is_file() and not isinstance(read_yaml(path, "configuration"), Mapping):
            raise InvalidInputError(
                f"--config {str(path)!r} holds no options; the command line 'viscy-train fit --config small "
                "--print_config' shows a whole one."
            )


def stated_options(arguments: Sequence[str]) -> set[str]:
    """Return the options of model and data that the user states, by their dotted names."""
    stated = set(_of_command_line(arguments))
    for path in own_configurations(arguments):
        if path.is_file():
            stated |= set(_leaves(read_yaml(path, "configuration"), ()))
    return {name for name in stated if name.split(".")[0] in _SECTIONS}


def _of_command_line(arguments: Sequence[str]) -> list[str]:
    """Parse what concerns model and data, and nothing by default."""
    parser = LightningArgumentParser()
    parser.add_lightning_class_args(ContrastiveModule, "model")
    parser.add_lightning_class_args(AnchorDataModule, "data", required=False)
    kept, keep = [], False
    for argument in arguments:
        if argument.startswith("-") and not argument[1:2].isdigit():
            keep = argument.startswith(tuple(f"--{section}" for section in _SECTIONS))
        if keep:
            kept.append(argument)
    names: list[str] = list(parser.parse_args(kept, defaults=False).keys())
    return names


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for name, inside in value.items():
            yield from _leaves(inside, (*path, str(name)))
    else:
        yield ".".join(path)
