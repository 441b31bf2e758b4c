import platform
import subprocess
import sys
from pathlib import Path

import pytest

from viscy_data.images import memory as allocator

glibc_only = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps arenas")

ARENAS = """
import ctypes, sys, threading
from viscy_data.images.memory import share_arenas

if sys.argv[1] == "shared":
    share_arenas()
barrier = threading.Barrier(4)

def allocate():
    barrier.wait()  # so that four threads need memory at once
    blocks = [b"x" * 70_000 for _ in range(50)]
    barrier.wait()

threads = [threading.Thread(target=allocate) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
library = ctypes.CDLL(None)
library.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(library.fopen(sys.argv[2].encode(), b"w"))
library.malloc_info(0, file)
library.fclose(file)
"""


def resident() -> int:
    """Bytes of this process that belong to no file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) * 1024


@glibc_only
def test_what_was_freed_between_blocks_goes_back_only_beyond_what_is_allowed() -> None:
    blocks = [b"x" * 65_536 + bytes([number % 251]) for number in range(2000)]
    del blocks[::2]
    assert allocator.free_bytes() > 50 << 20
    before = resident()
    allocator.hand_back(1 << 40)
    kept = resident()
    allocator.hand_back(0)
    assert kept > before - (10 << 20)
    assert resident() < kept - (50 << 20)
    assert len(blocks) == 1000


@glibc_only
def test_threads_to_come_share_the_arenas_that_there_are(tmp_path: Path) -> None:
    def arenas(how: str) -> int:
        out = tmp_path / how
        subprocess.run([sys.executable, "-c", ARENAS, how, str(out)], check=True)
        return out.read_text().count("<heap nr=")

    assert arenas("own") > arenas("shared") == 1


def test_where_there_is_no_glibc_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "_glibc", lambda: None)
    allocator.share_arenas()
    assert allocator.free_bytes() == 0
    allocator.hand_back(0)
