"""How a run ends: a sentence for the user, and a code for a script or a scheduler.

0 trained; 1 refused or failed, with one sentence that says why; 128 plus the signal's number where a
signal stopped it. Python's tracebacks are for faults of the program, and are left to those.
"""

import os
import signal
import sys
from collections.abc import Callable

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities import rank_zero_only

from viscy_data.errors import ViscyDataError
from viscy_train.stopping import Stopped


def exit_code(run: Callable[[], object]) -> int:
    """Run, and return what the process exits with."""
    try:
        run()
    except Stopped as stopped:
        if not _is_first():
            return 0 if _is_launched() else stopped.code
        _write(str(stopped), stopped)
        return stopped.code
    except KeyboardInterrupt:
        sys.stderr.write("stopped by SIGINT before training began.\n")
        return 128 + signal.SIGINT
    except (ViscyDataError, OSError, MisconfigurationException) as error:
        _write(f"error: {error}", error)
        return 1
    return 0


def _write(text: str, error: BaseException) -> None:
    sys.stderr.write("\n".join([text, *getattr(error, "__notes__", [])]) + "\n")


def _is_first() -> bool:
    rank: int | None = getattr(rank_zero_only, "rank", 0)
    return not rank


def _is_launched() -> bool:
    """Return whether the first rank started this one, and is killed where this one exits with a code."""
    return "TORCHELASTIC_RUN_ID" not in os.environ and "SLURM_PROCID" not in os.environ
