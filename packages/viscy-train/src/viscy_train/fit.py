"""``viscy-train fit``: Lightning's command line over our module and data.

Every argument of `ContrastiveModule`, `AnchorDataModule` and the trainer can stand in a YAML file or
follow on the command line, which wins. Configurations in ``viscy_train/configs`` go by their name.
"""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, override

from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from viscy_train.callbacks import CompositionLog, DataWait, FitProgress, PlanCheck
from viscy_train.datamodule import AnchorDataModule
from viscy_train.module import ContrastiveModule

_CONFIGS = Path(__file__).with_name("configs")


class FitCLI(LightningCLI):
    """Fit as the arguments say; `run_fit` is how to start it."""

    @staticmethod
    @override
    def subcommands() -> dict[str, set[str]]:
        return {"fit": LightningCLI.subcommands()["fit"]}

    @override
    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        # Lightning's own warns that sys.argv holds arguments too: they are the same ones here
        self.config = parser.parse_args(args)


def run_fit(arguments: Sequence[str]) -> FitCLI:
    """Fit, and return what was built.

    Parameters
    ----------
    arguments : sequence of str
        As on the command line, after ``viscy-train fit``. ``--config small`` is a packaged file.
    """
    quiet_lightning()
    return FitCLI(
        ContrastiveModule,
        AnchorDataModule,
        trainer_defaults={
            "use_distributed_sampler": False,
            "callbacks": [FitProgress(), CompositionLog(), PlanCheck(), DataWait()],
        },
        seed_everything_default=0,
        save_config_kwargs={"overwrite": True},
        parser_kwargs={"prog": "viscy-train"},
        args=["fit", *packaged(arguments)],
        # options are saved as plain values by the module itself
        load_from_checkpoint_support=False,
        auto_configure_optimizers=False,
    )


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
    return found


def quiet_lightning() -> None:
    """Silence advice of Lightning's that does not apply here, and nothing else."""
    # reading is threaded in the process that asks
    warnings.filterwarnings("ignore", message=".*does not have many workers")
    # Lightning's own use of what newer PyTorch renames
    warnings.filterwarnings("ignore", message=".isinstance.treespec, LeafSpec.. is deprecated")
    # Lightning's own use of what newer jsonargparse renames
    renamed = r"(?s)\s*(By default only one Jsonargparse|.* was deprecated in v4.* removed in v5)"
    warnings.filterwarnings("ignore", message=renamed, category=DeprecationWarning)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)


_CONFIG_OPTIONS = ("-c", "--config")


def _path(name: str) -> str:
    ours = _CONFIGS / f"{name.removesuffix('.yaml')}.yaml"
    return str(ours) if ours.is_file() and not Path(name).exists() else name
