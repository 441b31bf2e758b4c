"""One way of reading, and the ways that a bench tries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

PRESENT: Final = "as it is"


@dataclass(frozen=True)
class Setting:
    """How batches are composed and read.

    Attributes
    ----------
    name
        Short, for tables and pictures.
    advice
        What to write to have it, and what it costs.
    frames, hold
        Distinct (fov, t) that a batch's anchors come from, None: as the plan has it; and for how many
        batches each of them stays.
    tau_per
        Whether positives draw their time apart or by frame.
    cache_bytes, look_ahead, workers
        Decoded chunks kept, batches asked for ahead in this process, processes that read.
    """

    name: str
    advice: str = ""
    frames: int | None = None
    hold: int = 1
    tau_per: Literal["anchor", "frame"] = "anchor"
    cache_bytes: int = 0
    look_ahead: int = 0
    workers: int = 0


def usual_settings(
    *, frames: int, hold: int, cache_bytes: int, look_ahead: int, workers: Sequence[int], pixels: int
) -> list[Setting]:
    """Return the changes that a bench tries beside the present way, which is not among them.

    Parameters
    ----------
    frames, hold
        Of a batch with few frames.
    cache_bytes, look_ahead, workers
        Where these are tried; 0 workers is the present way.
    pixels
        Bytes of all decoded pixels, against which the cache is small or large.
    """
    cache = f"{cache_bytes / (1 << 30):.3g} GiB"
    few = f"{frames} frames a batch"
    shared = "BatchPlan(locality=Locality(frames=" + str(frames)
    tau = "Pairing(tau_per='frame')"
    kept = f"Reading(cache_bytes={cache_bytes})"
    variety = "Costs variety within a batch; the plan's report says how much"
    return [
        Setting(
            "one tau per frame", f"{tau}: cells of a frame share the time of their positives", tau_per="frame"
        ),
        Setting(few, f"{shared})), {tau}. {variety}", frames=frames, tau_per="frame"),
        Setting(
            f"{frames} frames, held for {hold}, cache",
            f"{shared}, hold={hold})), {tau}, {kept}. {variety}",
            frames=frames,
            hold=hold,
            tau_per="frame",
            cache_bytes=cache_bytes,
        ),
        Setting(
            f"cache of {cache}",
            f"{kept}: memory, in each process. All pixels are {pixels / 1e9:.3g} GB; a cache that is smaller "
            "than what batches roam over helps little",
            cache_bytes=cache_bytes,
        ),
        Setting(
            f"look ahead by {look_ahead}",
            f"look_ahead={look_ahead}: the next batches are read while one is used",
            look_ahead=look_ahead,
        ),
        *(
            Setting(
                f"{count} workers",
                f"num_workers={count}: memory for each, and seconds to start",
                workers=count,
            )
            for count in workers
            if count
        ),
    ]
