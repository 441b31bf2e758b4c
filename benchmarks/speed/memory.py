"""Resident memory of this process, from the kernel's own record of its highest (Linux)."""

import ctypes
import gc
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"


class Peak:
    """Resident bytes that a block adds: at their highest, and what is left after it."""

    def __enter__(self) -> "Peak":
        settle()
        CLEAR.write_text(RESET_PEAK)
        self.before = resident("VmRSS")
        return self

    def __exit__(self, *_: object) -> None:
        self.peak = resident("VmHWM") - self.before
        settle()
        self.kept = resident("VmRSS") - self.before


def resident(field: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def settle() -> None:
    """Free what nobody holds, and give the pages back, so that leftovers count for nobody."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def available() -> int:
    """Bytes that are available without swapping."""
    text = Path("/proc/meminfo").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("MemAvailable")).split()[1]) * 1024
