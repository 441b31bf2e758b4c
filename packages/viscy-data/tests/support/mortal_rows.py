"""A dataset whose workers end, or hang, where they are told to."""

import os
import signal
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset


class Rows(Dataset[Any]):
    """Batches that say who read them; one of them may end the worker or never come."""

    def __init__(self, fatal: int = -1, how: str = "", filler: int = 0) -> None:
        self.fatal, self.how, self.filler = fatal, how, filler

    def __getitems__(self, rows: list[int]) -> dict[str, Any]:
        if rows == [self.fatal]:
            end(self.how)
        return {
            "rows": torch.tensor(rows),
            "pid": os.getpid(),
            "filler": np.zeros(self.filler, dtype=np.uint8),
        }


class Unreadable(Rows):
    """Rows whose workers are killed while they are started, once they read the dataset."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def end(how: str) -> None:
    if how == "exit":
        os._exit(3)
    if how == "hang":
        signal.pause()
    if how == "raise":
        raise RuntimeError("what the dataset says")
    os.kill(os.getpid(), getattr(signal, how))


def ask(flag: Any, started: Any) -> None:
    """Ask a flag all the time, so that a signal finds the process in the middle of asking."""
    started.set()
    while not flag.is_set():
        pass
