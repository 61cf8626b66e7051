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
