"""A program that waits is told of signals, and of the end of its patience."""

import os
import signal

from exporter.process.signals import SignalReceiver


def test_a_wait_ends_with_a_signal_or_when_its_time_is_over() -> None:
    with SignalReceiver() as signals:
        assert signals.wait(0.01) == "timeout"
        os.kill(os.getpid(), signal.SIGHUP)
        assert signals.wait(60) == "reload"
        assert signals.wait(0.01) == "timeout"
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.wait() == "stop"
        assert signals.wait(60) == "stop"
