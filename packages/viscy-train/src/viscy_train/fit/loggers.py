"""Loggers: by short names, with the ids of the run that goes on, and CSV files that are continued.

Lightning's CSV logger deletes the file of a version that exists, and others begin a new run each time. A run
that goes on should be one run in every log: the id by which a logger knows it is kept (`known_as`), and rows
of the CSV file stay up to the step that the checkpoint holds, so that no step is there twice.
"""

import csv
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, override

from jsonargparse import Namespace
from lightning.pytorch.loggers import CSVLogger, Logger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from viscy_data import whole_file
from viscy_train.fit.packaged import namespace_of

_PACKAGE: Final = "lightning.pytorch.loggers."
_SHORT: Final = {
    "csv": "CSVLogger",
    "tensorboard": "TensorBoardLogger",
    "wandb": "WandbLogger",
    "mlflow": "MLFlowLogger",
}
_KNOWN_AS: Final = {"WandbLogger": "id", "MLFlowLogger": "run_id"}
_NAMES: Final = ("name", "project", "experiment_name", "run_name", "version", "id", "run_id")


def named_loggers(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with short names of loggers replaced by their classes.

    Examples
    --------
    >>> named_loggers(["--trainer.logger", "wandb", "--trainer.logger=false", "--data.seed=1"])
    ['--trainer.logger', 'WandbLogger', '--trainer.logger=false', '--data.seed=1']
    """
    found = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        option, equals, value = argument.partition("=")
        if equals and option == _OPTION:
            found.append(f"{option}={_SHORT.get(value, value)}")
        else:
            found.append(_SHORT.get(argument, argument) if before == _OPTION else argument)
    return found


def csv_by_default(trainer: Namespace) -> None:
    """Give a trainer that names no logger the CSV logger; Lightning takes what is installed."""
    if trainer.logger is None or trainer.logger is True:
        folder = str(trainer.default_root_dir or ".")
        init: dict[str, Any] = {"save_dir": folder, "name": "lightning_logs", "version": None, "prefix": ""}
        init |= {"flush_logs_every_n_steps": 100}
        trainer.logger = namespace_of({"class_path": f"{_PACKAGE}CSVLogger", "init_args": init})


def names_of(trainer: Namespace) -> dict[str, Any]:
    """Return the class and the names by which the first logger goes; without one, nothing."""
    first = _first(trainer)
    if first is None:
        return {}
    init = first.get("init_args") or {}
    named = {name: init.get(name) for name in _NAMES if init.get(name) is not None}
    return {"class": first.class_path, **named}


def root_of(trainer: Namespace) -> tuple[Path, int]:
    """Return the folder that holds runs, and how many folders deep they lie in it."""
    first = _first(trainer)
    default = trainer.default_root_dir or "."
    if first is None:
        return Path(default), 0
    init = first.get("init_args") or {}
    root = Path(init.get("save_dir") or init.get("dir") or default)
    if _kind(first.class_path) in ("CSVLogger", "TensorBoardLogger"):
        return root / (init.get("name") or ""), 1
    return root, 2


def known_as(logger: str) -> str:
    """Return the argument that says which run a logger of this class goes on with.

    Examples
    --------
    >>> known_as("WandbLogger"), known_as("CSVLogger")
    ('id', 'version')
    """
    return _KNOWN_AS.get(logger, "version")


def continue_files(loggers: Sequence[Logger], step: int) -> None:
    """Let CSV loggers keep what is there of the steps before `step`."""
    for one in loggers:
        if isinstance(one, CSVLogger):
            one._experiment = ContinuedCSV(one.log_dir, step)


class ContinuedCSV(ExperimentWriter):
    """A writer that goes on with the file that it finds.

    Parameters
    ----------
    log_dir : str
        Of the logger.
    step : int
        Rows of this step and later ones are left out: they are trained and logged again.
    """

    def __init__(self, log_dir: str, step: int) -> None:
        super().__init__(log_dir)
        path = Path(self.metrics_file_path)
        names, rows = _rows(path)
        kept = [row for row in rows if _before(row, step)]
        self.metrics_keys = sorted(names)
        if not names:
            return
        with whole_file(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=self.metrics_keys)
            writer.writeheader()
            writer.writerows(kept)

    @override
    def _check_log_dir_exists(self) -> None:
        """Leave what is there: Lightning's own warns, and deletes it."""


def _rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Return the columns and rows of a file, or nothing."""
    with suppress(OSError, csv.Error), path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, restkey="")
        rows = [{name: value for name, value in row.items() if name} for row in reader]
        return list(reader.fieldnames or []), rows
    return [], []


def _before(row: Mapping[str, str], step: int) -> bool:
    """Return whether a row is of an earlier step; one that a kill cut off is of none."""
    with suppress(ValueError, TypeError, KeyError):
        return float(row["step"]) < step
    return False


def _first(trainer: Namespace) -> Namespace | None:
    given = trainer.logger
    first = (given[0] if given else None) if isinstance(given, list) else given
    return first if isinstance(first, Namespace) else None


def _kind(class_path: str) -> str:
    return class_path.rpartition(".")[2]


_OPTION: Final = "--trainer.logger"
