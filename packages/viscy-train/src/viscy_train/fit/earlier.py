"""The run that the same command began: where it lies, and whether it ended.

A scheduler that requeues a job starts the same command again, and so does a user after a power cut. Neither
should have to look for a checkpoint. So each run leaves ``run.json`` beside its checkpoints, with the options
that decide what it learns. A command looks, where its logger writes, for the newest run with the same ones,
and that run goes on in its own folder. With other options a new run begins, and it says which differ from
the newest one's. ``--fresh`` begins another in any case.

What decides: the options of model and data, the table's path and what it holds, the seed, and the file that
``--ckpt_path`` names. The trainer's are free - more devices, another precision, a later end - and so is how
data are read.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self, override

import filelock
from jsonargparse import Namespace
from lightning.pytorch import Callback, LightningModule, Trainer

from viscy_data import InvalidInputError, whole_file
from viscy_train.callbacks import SaveLast
from viscy_train.fit.loggers import known_as, names_of, root_of
from viscy_train.packed.trained_on import table_digest

RECORD = Path("checkpoints", "run.json")
_LOCK = Path("checkpoints", ".running")
_LIMITS = ("max_steps", "max_epochs", "max_time")
_FREE = ("num_workers", "look_ahead", "reading")
_READING = ("missing_chunks", "non_finite")


class AlreadyTrained(BaseException):
    """The same command has trained to its end; no error, and nothing to do."""


@dataclass(frozen=True)
class RunRecord:
    """What a run notes about itself, as plain values.

    Parameters
    ----------
    options : mapping of str to value
        Those that decide what it learns, by their dotted names.
    names : mapping
        By which its first logger goes, see `viscy_train.fit.loggers.names_of`.
    limits : mapping
        Which of the trainer's options end it.
    loggers : list of (str, int or str)
        Class and id of each.
    ended : bool
        Whether it trained to its end.
    """

    options: Mapping[str, Any]
    names: Mapping[str, Any]
    limits: Mapping[str, Any]
    loggers: list[tuple[str, Any]] = field(default_factory=list)
    ended: bool = False

    @classmethod
    def of_command(cls, config: Namespace) -> Self:
        """Return the record of a run that the command would begin, once its options are all set."""
        trainer = config.trainer
        limits = {name: _plain(trainer.get(name)) for name in _LIMITS}
        return cls(_deciding(config), names_of(trainer), limits)

    def write(self, folder: Path) -> None:
        """Write it, whole."""
        with whole_file(folder / RECORD) as beside:
            beside.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")


@dataclass(frozen=True)
class EarlierRun:
    """A run that can be gone on with: its folder and its record."""

    folder: Path
    record: RunRecord

    @property
    def checkpoint(self) -> Path:
        """The last one."""
        return self.folder / "checkpoints" / "last.ckpt"

    def differs(self, now: RunRecord) -> list[str]:
        """Return the options that differ, with the value of this run's."""
        before = self.record.options
        return [
            f"{name}={before.get(name)!r}"
            for name in sorted({*before, *now.options})
            if before.get(name) != now.options.get(name)
        ]

    def changed_limits(self, now: RunRecord) -> list[str]:
        """Return a line for each of the trainer's limits that the command changes."""
        before = self.record.limits
        return [
            f"trainer.{name}={value!r}: {before.get(name)!r} when the run began"
            for name, value in now.limits.items()
            if value != before.get(name)
        ]


class NoteRun(Callback):
    """Write the record of a run beside its checkpoints, and keep other processes out of it.

    Parameters
    ----------
    record : RunRecord
        As the command says it.
    saved : SaveLast
        Knows the folder.
    lock : FileLock, optional
        Of a run that goes on.
    """

    def __init__(self, record: RunRecord, saved: SaveLast, lock: filelock.FileLock | None = None) -> None:
        self._record = record
        self._saved = saved
        self._lock = lock

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write it once there is a checkpoint, which is before the first epoch."""
        if self._record.loggers or not trainer.is_global_zero:
            return
        loggers = [(type(one).__name__, one.version) for one in trainer.loggers]
        self._record = replace(self._record, loggers=loggers)
        self._write()

    def end(self) -> None:
        """Note that the run trained to its end, and let others in."""
        self._record = replace(self._record, ended=True)
        self._write()
        self.release()

    def release(self) -> None:
        """Let others in."""
        if self._lock is not None:
            self._lock.release()

    def _write(self) -> None:
        if self._saved.path is None:
            return
        folder = self._saved.path.parents[1]
        if self._lock is None:
            self._lock = take_lock(folder)
        self._record.write(folder)


def find_runs(config: Namespace) -> list[EarlierRun]:
    """Return the runs that lie where the command's would, by the same names, the newest first.

    Parameters
    ----------
    config : Namespace
        Of ``fit``.
    """
    trainer = config.trainer
    if trainer.get("fast_dev_run") or trainer.get("enable_checkpointing") is False:
        return []
    names = names_of(trainer)
    root, depth = root_of(trainer)
    found = [path.parents[1] for path in root.glob("*/" * depth + str(RECORD))]
    runs = [EarlierRun(folder, record) for folder in found if (record := _read(folder)) is not None]
    same = [run for run in runs if run.record.names == names and run.checkpoint.is_file()]
    return sorted(same, key=lambda run: run.checkpoint.stat().st_mtime, reverse=True)


def keep_ids(config: Namespace, earlier: EarlierRun) -> None:
    """Let the loggers write where those of the earlier run did."""
    given = config.trainer.logger
    for one, (name, version) in zip(
        given if isinstance(given, list) else [given], earlier.record.loggers, strict=False
    ):
        if isinstance(one, Namespace) and one.class_path.rpartition(".")[2] == name:
            one.init_args[known_as(name)] = version


def take_lock(folder: Path) -> filelock.FileLock | None:
    """Keep other processes from going on with a run that this one trains; the lock ends with the process.

    Raises
    ------
    InvalidInputError
        Another process trains it.
    """
    lock = filelock.FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise InvalidInputError(
            f"{str(folder)!r} is being trained by another process, and the same command would go on with it: "
            "wait for its end, or begin another run beside it with --fresh."
        ) from None
    except (NotImplementedError, OSError):  # file systems without locks; the place is tried by checkpoints
        return None
    return lock


def is_first_rank(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether the process is rank 0, as launchers say it, before a process group is there."""
    names = ("RANK", "SLURM_PROCID", "LOCAL_RANK")
    return next((environment[name] for name in names if name in environment), "0") == "0"


def _read(folder: Path) -> RunRecord | None:
    """Return a record; None: there is none, or not of this version."""
    with suppress(OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        values = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        values["loggers"] = [
            (str(name), version) for name, version in values["loggers"] if isinstance(version, int | str)
        ]
        record = RunRecord(**values)
        held = (record.options, record.names, record.limits)
        if all(isinstance(one, dict) for one in held) and isinstance(record.ended, bool):
            return record
    return None


def _deciding(config: Namespace) -> dict[str, Any]:
    """Return the options that decide what a run learns."""
    found = {
        f"{section}.{name}": _plain(value)
        for section in ("model", "data")
        for name, value in config[section].items()
        if name.partition(".")[0] not in _FREE
    }
    found["data.anchors"] = str(Path(config.data.anchors).resolve())
    found["data.anchors.digest"] = table_digest(config.data.anchors)
    reading = config.data.reading
    found |= {f"data.reading.{name}": _plain(reading.get(name)) for name in _READING}
    begun = config.ckpt_path
    found["ckpt_path"] = None if begun is None else str(Path(begun).resolve())
    found["seed_everything"] = _plain(config.seed_everything)
    return found


def _plain(value: Any) -> Any:
    """Return a value as JSON gives it back."""
    value = value.as_dict() if isinstance(value, Namespace) else value
    return json.loads(json.dumps(value, default=str))
