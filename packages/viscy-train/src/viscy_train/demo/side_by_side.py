"""Train several encoders at once, each in a process with its share of the threads.

An encoder as small as the demo's trains as fast on one core as on two: its layers are too small to be
divided. Two trainings side by side take the time of one. The first job is done in this process, under its
progress bar; the others by ``python -m`` this module, which is given a job on its standard input and leaves
what it found in a temporary folder, so that a script needs no main guard.
"""

import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from viscy_data import WorkerError
from viscy_train.demo.training import Job, Trained, train
from viscy_train.models.checkpoint_file import read_checkpoint

_FEWEST_STEPS = 100
"""With fewer, a process takes longer to start than to train."""


def train_all(jobs: Sequence[Job], *, progress: bool) -> dict[str, Trained]:
    """Train all, side by side where threads and steps suffice, otherwise one after the other.

    Raises
    ------
    WorkerError
        If a process ends without having trained.
    """
    threads = torch.get_num_threads()
    few = min(job.settings.steps for job in jobs) < _FEWEST_STEPS
    if few or threads < len(jobs) or torch.cuda.is_available():
        return {job.name: train(job, progress=progress) for job in jobs}
    share = threads // len(jobs)
    with ExitStack() as stack:
        others = [stack.enter_context(_started(job, share)) for job in jobs[1:]]
        with _threads(share):
            title = f"train {len(jobs)} encoders at once"
            trained = {jobs[0].name: train(jobs[0], progress=progress, title=title)}
        return trained | {one.job.name: one.result() for one in others}


@dataclass(frozen=True)
class _Apart:
    """A training in a process of its own, and the folder where that leaves word."""

    job: Job
    process: "subprocess.Popen[bytes]"
    folder: Path

    def result(self) -> Trained:
        """Wait for the process, and read what it wrote."""
        code = self.process.wait()
        if code:
            said = (self.folder / "stderr").read_text(errors="replace").strip().splitlines()[-1:]
            raise WorkerError(
                f"the process that trains on {self.job.name} ended with code {code}: {''.join(said)}"
            )
        losses, warnings = pickle.loads((self.folder / "found").read_bytes())  # noqa: S301 our own
        module, data = self.job.module(), self.job.data()
        module.load_state_dict(read_checkpoint(self.job.checkpoint)["state_dict"])
        data.setup("fit")
        return Trained(module, data, losses, warnings)


@contextmanager
def _started(job: Job, threads: int) -> Iterator[_Apart]:
    """Start a job, and end its process on leaving where that has not ended by itself."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "stderr").open("wb") as errors:
            process = subprocess.Popen(  # noqa: S603 ourselves
                [sys.executable, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,  # Ctrl-C is for the first process, which ends this one
            )
        try:
            assert process.stdin is not None
            with suppress(BrokenPipeError), process.stdin:  # how it ended is said with its result
                process.stdin.write(pickle.dumps((job, threads, folder / "found")))
            yield _Apart(job, process, folder)
        finally:
            process.kill()
            process.wait()


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _main() -> None:
    job, threads, out = pickle.loads(sys.stdin.buffer.read())  # noqa: S301 our own
    with _threads(threads):
        done = train(job, progress=False)
    out.write_bytes(pickle.dumps((done.losses, done.warnings)))


if __name__ == "__main__":
    _main()
