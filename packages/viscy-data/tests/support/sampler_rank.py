"""One rank of a real process group: iterate a sampler, step by step with the others, and write it down."""

import json
import sys
from datetime import timedelta
from pathlib import Path

import torch
from sampling_cases import make_table, quiet_sampler
from torch import distributed


def main(store: Path, world: int, rank: int, drop_last: bool) -> None:
    """Iterate two epochs; an all-reduce after each batch hangs where ranks yield differently many."""
    table = make_table({("a", "x"): 40, ("a", "y"): 31, ("b", "x"): 50, ("b", "y"): 22})
    sampler = quiet_sampler(table, batch_size=7, leaky=0.2, temporal_enrichment=True, drop_last=drop_last)
    distributed.init_process_group(
        "gloo", init_method=store.as_uri(), world_size=world, rank=rank, timeout=timedelta(seconds=60)
    )
    epochs = []
    for _ in range(2):
        batches = []
        for batch in sampler:
            steps = torch.ones(1)
            distributed.all_reduce(steps)
            assert steps.item() == world
            batches.append(list(batch))
        assert len(batches) == len(sampler)
        epochs.append(batches)
    distributed.barrier()
    found = {"epochs": epochs, "length": len(sampler), "state": sampler.state_dict()}
    store.with_name(f"rank{rank}.json").write_text(json.dumps(found))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "drop")
