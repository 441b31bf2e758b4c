"""Configurations that come with the package, by their name, and Lightning's advice that does not apply."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from viscy_data import InvalidInputError

_CONFIGS = Path(__file__).parents[1] / "configs"


def packaged(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with names of packaged configurations replaced by their paths.

    Examples
    --------
    >>> packaged(["--config", "small", "--seed_everything=1"])[0::2]
    ['--config', '--seed_everything=1']
    >>> Path(packaged(["--config=small"])[0].partition("=")[2]).is_file()
    True
    """
    found = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        option, equals, value = argument.partition("=")
        if equals and option in _CONFIG_OPTIONS:
            found.append(f"{option}={_path(value)}")
        else:
            found.append(_path(argument) if before in _CONFIG_OPTIONS else argument)
    if [str(one) for one in _configurations(found)] == [str(_CONFIGS / f"{_ON_TOP}.yaml")]:
        raise InvalidInputError(
            f"--config {_ON_TOP} is put on top of another configuration: --config small --config {_ON_TOP}."
        )
    return found


def quiet_lightning() -> None:
    """Silence advice of Lightning's that does not apply here, and nothing else."""
    # reading is threaded in the process that asks
    warnings.filterwarnings("ignore", message=".*does not have many workers")
    # a small table's epochs are short, and what is logged goes by steps
    warnings.filterwarnings("ignore", message="The number of training batches .* is smaller than the logging")
    # Lightning's own use of what newer PyTorch renames
    warnings.filterwarnings("ignore", message=".isinstance.treespec, LeafSpec.. is deprecated")
    # Lightning's own use of what newer jsonargparse renames
    renamed = r"(?s)\s*(By default only one Jsonargparse|.* was deprecated in v4.* removed in v5)"
    warnings.filterwarnings("ignore", message=renamed, category=DeprecationWarning)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)


def own_configurations(arguments: Sequence[str]) -> list[Path]:
    """Return the configurations that are not of the package.

    Examples
    --------
    >>> own_configurations(["--config", "small", "--config=a.yaml", "-c", "b.yaml", "--data.seed", "1"])
    [PosixPath('a.yaml'), PosixPath('b.yaml')]
    """
    return [path for path in _configurations(packaged(arguments)) if path.parent != _CONFIGS]


_CONFIG_OPTIONS = ("-c", "--config")
_ON_TOP = "strong"
"""The configuration that changes another."""


def _configurations(arguments: Sequence[str]) -> list[Path]:
    pairs = zip(["", *arguments], arguments, strict=False)
    return [
        Path(now if before in _CONFIG_OPTIONS else now.partition("=")[2])
        for before, now in pairs
        if before in _CONFIG_OPTIONS or now.startswith(tuple(f"{one}=" for one in _CONFIG_OPTIONS))
    ]


def _path(name: str) -> str:
    ours = _CONFIGS / f"{name.removesuffix('.yaml')}.yaml"
    return str(ours) if ours.is_file() and not Path(name).exists() else name


def namespace_of(value: Any) -> Any:
    """Return a mapping of names, and those in it, as the parser holds them; anything else as it is.

    Examples
    --------
    >>> namespace_of({"encoder": {"depth": 3}}).encoder.depth
    3
    """
    if not (isinstance(value, dict) and all(isinstance(name, str) for name in value)):
        return value
    found = Namespace()  # type: ignore[no-untyped-call]  # it has no types
    for name, one in value.items():
        found[name] = namespace_of(one) if one else one
    return found
