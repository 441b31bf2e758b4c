"""Runs of ``viscy-train fit`` as real processes, which real signals reach, without paying for imports anew.

Importing PyTorch and Lightning takes seconds on a loaded machine; a fork server pays for it once.
"""

import contextlib
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import MappingProxyType
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")

# what a test can pay, of either packaged configuration
SMALL = [
    "--data.batches.batch_size=8",
    "--data.split.fraction=0.3",
    "--data.patches.size=[40, 40]",
    "--model.crop=[32, 32]",
    "--model.encoder.backbone=small",
    "--model.encoder.projection=8",
    "--trainer.accelerator=cpu",
    "--trainer.devices=1",
    "--trainer.precision=32-true",
    "--trainer.log_every_n_steps=1",
    "--trainer.limit_train_batches=4",
    "--trainer.limit_val_batches=2",
]


def start(arguments: Sequence[str], folder: Path, **how: Any) -> BaseProcess:
    """Start ``viscy-train fit`` in a folder; what it says goes to the file ``said`` there.

    ``how`` may name a signal and the moment at which the process sends it to itself: after so many steps
    (``at_step``), or in the validation that follows so many (``at_validation``); and variables of the
    environment (``env``) and streams that are closed (``closed``), as the shell's ``2>&-`` does.
    """
    _CONTEXT.set_forkserver_preload(["viscy_train.fit", "lightning.pytorch.loggers"])
    folder.mkdir(parents=True, exist_ok=True)
    process = _CONTEXT.Process(target=_main, args=(list(arguments), folder, how))
    process.start()
    return process


def run(arguments: Sequence[str], folder: Path, **how: Any) -> tuple[int, str]:
    """Run to the end; return the exit code, as a shell would name it, and what was said."""
    process = start(arguments, folder, **how)
    process.join(300)
    code = process.exitcode
    if code is None:
        process.kill()
        raise TimeoutError((folder / "said").read_text())
    return code, (folder / "said").read_text()


def losses(folder: Path) -> dict[int, float]:
    """Return the loss of each step, as the run itself noted it."""
    lines = (folder / "losses").read_text().splitlines()
    return dict(map(json.loads, lines))


def _main(arguments: list[str], folder: Path, how: dict[str, Any]) -> None:
    os.chdir(folder)
    said = (folder / "said").open("w", buffering=1)
    os.dup2(said.fileno(), 1)
    os.dup2(said.fileno(), 2)
    sys.stdout = sys.stderr = said
    # a program started in the background of a shell ignores Ctrl-C, and so would this one
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _note_and_signal(folder, **how)
    from viscy_train.cli.app import main

    with contextlib.suppress(SystemExit):
        code = main(["fit", *arguments])
        os._exit(code)
    os._exit(2)


def _note_and_signal(
    folder: Path,
    signum: int = 0,
    at_step: int | None = None,
    at_validation: int | None = None,
    env: Mapping[str, str] = MappingProxyType({}),
    closed: Sequence[int] = (),
) -> None:
    """Let the module note its losses, and send the signal from inside a step or a validation."""
    os.environ.update(env)
    for number in closed:
        os.close(number)
        setattr(sys, ("stdin", "stdout", "stderr")[number], None)
    import torch

    from viscy_train.module import ContrastiveModule

    torch.set_num_threads(1)
    step = ContrastiveModule._step

    def noted(module: Any, anchor: Any, positive: Any, batch: Any, stage: Any, weight: int) -> Any:
        loss = step(module, anchor, positive, batch, stage, weight)
        if stage == "train":
            with (folder / "losses").open("a") as file:
                file.write(json.dumps([module.global_step, float(loss.detach())]) + "\n")
                file.flush()
        at = at_step if stage == "train" else at_validation
        if signum and module.global_step == at and not module.trainer.sanity_checking:
            os.kill(os.getpid(), signal.Signals(signum))
        return loss

    ContrastiveModule._step = noted  # type: ignore[method-assign, assignment]  # in this process only
