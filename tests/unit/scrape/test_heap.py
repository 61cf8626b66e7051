"""What was freed goes back to the system, so that a first reading does not count as memory for good."""

import subprocess
import sys

import pytest

# the last block keeps the library from giving back by itself what lies before it
_PROGRAM = """
from pathlib import Path
from exporter.scrape.heap import give_back
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
blocks = [bytes(2000) for _ in range(50_000)]
last = bytes(2000)
del blocks
before = resident()
give_back()
print(before - resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_that_was_freed_goes_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 80_000_000


_SPARING = """
import gc
from exporter.scrape.heap import spare_what_stays
kept = [[] for _ in range(1000)]
spare_what_stays()
class Ring:
    alive = 0
    def __init__(self):
        self.me, Ring.alive = self, Ring.alive + 1
    def __del__(self):
        Ring.alive -= 1
for _ in range(100_000):
    Ring()
print(gc.get_freeze_count() > 1000, Ring.alive < 50_000)
"""


def test_what_stays_is_spared_and_garbage_still_goes() -> None:
    done = subprocess.run([sys.executable, "-c", _SPARING], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]


# a larger block that is freed would raise the size from which on the library asks the system for each
_LARGE_BLOCKS = """
from pathlib import Path
from exporter.scrape.heap import keep_little
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
keep_little()
first = bytes(30_000_000)
del first
blocks = [bytes([1]) * 1_200_000 for _ in range(50)]
last = bytes(2000)
before = resident()
del blocks
print(before - resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_large_blocks_go_back_as_soon_as_they_are_free() -> None:
    done = subprocess.run([sys.executable, "-c", _LARGE_BLOCKS], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 50_000_000


_SPARING_AGAIN = """
import gc, weakref
from exporter.scrape.heap import spare_what_stays
class Ring:
    def __init__(self):
        self.me = self
former = Ring()
gone = weakref.ref(former)
spare_what_stays()
del former
spare_what_stays()
print(gone() is None)
"""


def test_what_stayed_and_has_gone_is_garbage_the_next_time() -> None:
    done = subprocess.run([sys.executable, "-c", _SPARING_AGAIN], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"]


_RELOADING = """
import argparse, contextlib, types, weakref
from exporter.commands import serve
class Exporter:
    def __init__(self):
        self.me = self
class Running:
    url = server = read_ratio = None
    def __init__(self):
        self.exporter = Exporter()
    def reload(self):
        self.former, self.exporter = weakref.ref(self.exporter), Exporter()
requests = iter(["reload", "stop"])
running = Running()
serve.SignalReceiver = lambda: contextlib.nullcontext(types.SimpleNamespace(wait=lambda: next(requests)))
serve._configuration = lambda arguments: None
serve.serving = lambda *parts: contextlib.nullcontext(running)
serve.watching = serve.showing_reads = lambda *parts: contextlib.nullcontext()
serve.run(argparse.Namespace(backfill_since=None))
print(running.former() is None)
"""


def test_an_exporter_that_a_reload_has_replaced_does_not_stay_in_memory() -> None:
    done = subprocess.run([sys.executable, "-c", _RELOADING], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"]
