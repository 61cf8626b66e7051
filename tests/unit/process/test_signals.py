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


def test_without_reloads_a_hangup_is_a_stop_and_a_second_one_changes_nothing() -> None:
    with SignalReceiver(3600, reloads=False) as signals:
        assert signals.wait(0) == "timeout"
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGHUP)
            assert signals.wait(60) == "stop"
        assert signals.wait(0) == "stop"
