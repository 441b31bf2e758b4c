"""How a run ends: a sentence for the user, and a code for a script or a scheduler.

0 trained, now or before; 1 refused or failed, with one sentence that says why; 128 plus the signal's number
where a signal stopped it. Python's tracebacks are for faults of the program, and are left to those.
"""

import signal
import warnings
from collections.abc import Callable

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities import rank_zero_only
from torch import distributed

from viscy_data import ViscyDataError
from viscy_train.fit.earlier import AlreadyTrained
from viscy_train.models.checkpoint_file import first_line
from viscy_train.ranks import is_launched
from viscy_train.saying import say
from viscy_train.stopping import Stopped


def exit_code(run: Callable[[], object]) -> int:
    """Run, and return what the process exits with."""
    form = warnings.formatwarning
    warnings.formatwarning = _plain_warning
    try:
        run()
    except Stopped as stopped:
        if not _is_first():
            return 0 if is_launched() else stopped.code
        _write(str(stopped), stopped)
        return stopped.code
    except AlreadyTrained as trained:
        if _is_first():
            say(str(trained))
        return 0
    except KeyboardInterrupt:
        say("stopped by SIGINT before training began.")
        return 128 + signal.SIGINT
    except (ViscyDataError, OSError, MisconfigurationException) as error:
        _write(f"error: {error}{_elsewhere(error)}", error)
        return 1
    except torch.OutOfMemoryError as error:
        _write("error: the memory of the device is full; lower data.batches.batch_size or model.crop.", error)
        return 1
    except RuntimeError as error:
        if not _is_of_a_rank(error):
            raise
        _write(f"error: another rank ended, and this one cannot go on alone ({first_line(error)}).", error)
        return 1
    finally:
        warnings.formatwarning = form
    return 0


def _plain_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> str:
    """Return what a warning says; the line of code that says it is of no use here."""
    return f"{category.__name__}: {message}\n"


def _elsewhere(error: Exception) -> str:
    """Say what to do where the system, and not the package, could not read or write."""
    if isinstance(error, ViscyDataError) or not isinstance(error, OSError) or error.errno is None:
        return ""
    return (
        ". Results go to --trainer.logger.init_args.save_dir or, without a logger, to "
        "--trainer.default_root_dir: choose a folder that can be written."
    )


def _is_of_a_rank(error: RuntimeError) -> bool:
    """Return whether a collective failed, which is how the death of another rank shows."""
    several = distributed.is_available() and distributed.is_initialized()
    named = isinstance(error, distributed.DistError) or any(
        name in str(error) for name in ("gloo", "NCCL", "TCPStore")
    )
    return several and named


def _write(text: str, error: BaseException) -> None:
    say("\n".join([text, *getattr(error, "__notes__", [])]))


def _is_first() -> bool:
    rank: int | None = getattr(rank_zero_only, "rank", 0)
    return not rank
