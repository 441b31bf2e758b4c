"""Signals: the first waits for the step, the second does not, and what is ignored stays ignored."""

import signal

import pytest

from viscy_train.stopping import Stopped, StopRequest


def send(signum: signal.Signals) -> None:
    signal.raise_signal(signum)


@pytest.mark.parametrize(
    ("signum", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 138), (signal.SIGHUP, 129)],
)
def test_the_first_waits_and_the_second_ends(signum: signal.Signals, code: int) -> None:
    request = StopRequest()
    before = signal.getsignal(signum)
    signal.signal(signum, signal.SIG_DFL)
    with request.installed():
        request.waits = True
        send(signum)
        assert request.signum == signum
        with pytest.raises(Stopped, match=signum.name) as stopped:
            send(signum)
        assert stopped.value.code == code
    assert signal.getsignal(signum) is signal.SIG_DFL
    signal.signal(signum, before)


def test_outside_of_training_the_first_ends() -> None:
    with StopRequest().installed(), pytest.raises(Stopped):
        send(signal.SIGTERM)


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    request = StopRequest()
    with request.installed():
        send(signal.SIGHUP)
    assert request.signum == 0
    signal.signal(signal.SIGHUP, before)
