"""The sampler among real processes: ranks of a gloo group, workers of a DataLoader, a fresh interpreter."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sampler_loading import EchoDataset, same
from sampling_cases import make_table, quiet_sampler
from torch.utils.data import DataLoader

SUPPORT = Path(__file__).parents[1] / "support"
CELLS = {("a", "x"): 40, ("a", "y"): 31, ("b", "x"): 50, ("b", "y"): 22}
ARGUMENTS: dict[str, Any] = {"batch_size": 7, "leaky": 0.2, "temporal_enrichment": True}


def environment() -> dict[str, str]:
    paths = [str(SUPPORT), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize(("world", "drop"), [(2, "keep"), (3, "drop")])
def test_ranks_share_an_epoch_that_does_not_divide(world: int, drop: str, tmp_path: Path) -> None:
    store = tmp_path / "store"
    ranks = [
        subprocess.Popen(
            [sys.executable, str(SUPPORT / "sampler_rank.py"), str(store), str(world), str(rank), drop],
            env=environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]
    try:
        errors = [rank.communicate(timeout=180)[1] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0] * world, "\n".join(errors)
    found = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(world)]
    single = quiet_sampler(make_table(CELLS), **ARGUMENTS, drop_last=drop == "drop")
    n = single.batches_per_epoch
    assert n % world
    for epoch in range(2):
        turns = [
            batch for turn in zip(*(one["epochs"][epoch] for one in found), strict=True) for batch in turn
        ]
        assert turns[:n] == list(single)
        assert len(turns) == -(-n // world) * world
    assert {one["length"] for one in found} == {-(-n // world)}
    assert all(one["state"] == found[0]["state"] for one in found)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_hands_the_key_of_a_batch_to_the_dataset(workers: int) -> None:
    table = make_table(CELLS)
    sampler = quiet_sampler(table, **ARGUMENTS)
    loader = DataLoader(
        EchoDataset(len(table)),
        batch_sampler=sampler,
        collate_fn=same,
        num_workers=workers,
        multiprocessing_context="forkserver" if workers else None,
        persistent_workers=bool(workers),
    )
    assert len(loader) == len(sampler) == 20
    for epoch in range(2):
        batches = list(loader)
        assert [batch["key"] for batch in batches] == [(epoch, number) for number in range(20)]
        assert [batch["rows"] for batch in batches] == [sampler.batch(b, epoch=epoch) for b in range(20)]
        assert {batch["worker"] for batch in batches} == ({0, 1} if workers else {None})


def test_a_fresh_process_draws_the_same_batches() -> None:
    script = (
        "import json; from sampling_cases import make_table, quiet_sampler\n"
        f"sampler = quiet_sampler(make_table({CELLS!r}), **{ARGUMENTS!r}, seed=5)\n"
        "print(json.dumps([sampler.batch(b, epoch=e) for e in (3, 0) for b in (7, 0, 19)]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment() | {"PYTHONHASHSEED": "77"},
        capture_output=True,
        text=True,
        check=True,
    )
    sampler = quiet_sampler(make_table(CELLS), **ARGUMENTS, seed=5)
    assert json.loads(done.stdout) == [sampler.batch(b, epoch=e) for e in (3, 0) for b in (7, 0, 19)]


def test_another_process_goes_on_from_a_state() -> None:
    sampler = quiet_sampler(make_table(CELLS), **ARGUMENTS)
    iterator = iter(sampler)
    for _ in range(9):
        next(iterator)
    script = (
        "import json; from sampling_cases import make_table, quiet_sampler\n"
        f"sampler = quiet_sampler(make_table({CELLS!r}), **{ARGUMENTS!r})\n"
        f"sampler.load_state_dict(json.loads({json.dumps(sampler.state_dict())!r}))\n"
        "print(json.dumps(list(sampler)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == list(iterator)
