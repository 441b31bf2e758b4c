"""Asked to stop: by Ctrl-C, by a scheduler, by a terminal that closes.

Python ends a program wherever it is, in the middle of a step of the optimiser too, and Lightning turns
SIGTERM into an exit that looks like success. Here the first signal only leaves a note while training
runs: the step is finished, a checkpoint written, and the program ends with the code that shells use for
the signal, 128 plus its number. Before and after training, and on a second signal, it ends at once.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# SIGUSR1 is what schedulers send some time before the end; Windows knows the first two only
_NAMES = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")


class Stopped(BaseException):
    """The program was asked to end; no error, and nothing that ``except Exception`` should catch.

    Attributes
    ----------
    signum : int
    code : int
        What the process exits with: 130 for Ctrl-C, 143 for SIGTERM, 138 for SIGUSR1, 129 for SIGHUP.
    """

    def __init__(self, signum: int) -> None:
        self.signum = signum
        self.code = 128 + signum
        super().__init__(f"stopped by {signal.Signals(signum).name}")


class StopRequest:
    """What signals have asked for.

    Attributes
    ----------
    signum : int
        Of the first signal that has not been answered; 0: none.
    waits : bool
        Whether a signal waits for the step to finish, or ends the program at once.
    """

    def __init__(self) -> None:
        self.signum = 0
        self.waits = False

    def handle(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002 as signal.signal calls it
        """Note the signal, or end."""
        if self.waits and not self.signum:
            self.signum = signum
            return
        raise Stopped(signum)

    def take_signals(self) -> None:
        """Handle signals from here on; those that the program was started to ignore stay ignored."""
        if threading.current_thread() is not threading.main_thread():
            return
        for signum in _signals():
            if signal.getsignal(signum) is not signal.SIG_IGN:
                signal.signal(signum, self.handle)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Handle signals inside, and as before afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {signum: signal.getsignal(signum) for signum in _signals()}
        try:
            self.take_signals()
            yield
        finally:
            for signum, handler in before.items():
                if handler is not None:  # set by a program that is not Python
                    signal.signal(signum, handler)


def _signals() -> list[signal.Signals]:
    return [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
