"""One rank of a training loop that somebody wrote: batches of a sampler, and an all-reduce after each."""

import json
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from sampling_cases import make_table
from torch import distributed

from viscy_data import FlexibleBatchSampler


def main(store: Path, rank: int, told: dict[str, Any]) -> None:
    """Iterate; say by a file that the loop runs, and end or be ended as told."""
    table = make_table({("a", "x"): told.get("cells", 40), ("b", "x"): 50})
    distributed.init_process_group(
        "gloo", init_method=store.as_uri(), world_size=2, rank=rank, timeout=timedelta(seconds=3600)
    )
    if told.get("alone") and rank == 0:
        alone = FlexibleBatchSampler(table, 4, condition_balanced=False, num_replicas=1, rank=0)
        sys.stdout.write(f"alone {len(list(alone))}\n")
    sampler = FlexibleBatchSampler(table, 4, condition_balanced=False, seed=told.get("seed", 0))
    for step, _ in enumerate(sampler):
        distributed.all_reduce(torch.ones(1))
        if step == 2 and told.get("killed"):
            os.kill(os.getpid(), signal.SIGKILL)
    sys.stdout.write("done\n")
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3]))
