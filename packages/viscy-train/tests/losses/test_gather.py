"""Two real processes: gathered loss and gradients are those of one process that holds all rows."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from viscy_train.losses import NTXentHCL
from viscy_train.losses.gather import gather_rows, world

RANKS, ROWS = 2, 5


def cells() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inputs of both views (all rows), lineages and groups: lineages cross ranks, groups do not."""
    generator = torch.Generator().manual_seed(3)
    anchor, positive = torch.randn(2, RANKS * ROWS, 6, dtype=torch.float64, generator=generator)
    lineages = torch.tensor([0, 1, 2, 3, 4, 0, 5, 6, 7, 7])
    groups = torch.arange(RANKS).repeat_interleave(ROWS)
    return anchor, positive, lineages, groups


def model() -> nn.Linear:
    layer = nn.Linear(6, 4, bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(24.0).reshape(4, 6).sin())
    return layer


def loss_and_gradient(loss: NTXentHCL, part: slice, use_groups: bool) -> tuple[Tensor, Tensor]:
    anchor, positive, lineages, groups = cells()
    layer = model()
    value = loss(
        layer(anchor[part]),
        layer(positive[part]),
        lineage_ids=lineages[part],
        group_ids=groups[part] if use_groups else None,
    )
    value.backward()
    assert layer.weight.grad is not None
    return value.detach(), layer.weight.grad


def work(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=RANKS)
    part = slice(rank * ROWS, (rank + 1) * ROWS)
    results: dict[str, tuple[Tensor, Tensor]] = {}
    for name, loss, use_groups in cases():
        value, gradient = loss_and_gradient(loss, part, use_groups)
        # what data-parallel training does with parameter gradients
        dist.all_reduce(value)
        dist.all_reduce(gradient)
        results[name] = (value / RANKS, gradient / RANKS)
    try:
        NTXentHCL()(torch.ones(2 + rank, 3), torch.ones(2 + rank, 3))
    except ValueError as error:
        (Path(folder) / f"uneven{rank}").write_text(str(error))
    if rank == 0:
        torch.save(results, f"{folder}/results.pt")
    dist.barrier()
    dist.destroy_process_group()


def cases() -> list[tuple[str, NTXentHCL, bool]]:
    evaluated = NTXentHCL(0.2, 0.5).eval()
    return [
        ("all", NTXentHCL(0.2, 0.5, across_groups=True), True),
        ("groups", NTXentHCL(0.2, 0.5), True),
        ("plain", NTXentHCL(0.2, 0.0), False),
        ("own", NTXentHCL(0.2, 0.5, gather=False), False),
        ("evaluated", evaluated, False),
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gloo")
    # scripts: what pytest imports by path, a spawned process could not import again
    ranks = [subprocess.Popen([sys.executable, __file__, str(rank), str(path)]) for rank in range(RANKS)]
    assert [rank.wait(timeout=120) for rank in ranks] == [0] * RANKS
    return path


@pytest.mark.parametrize("case", range(3), ids=["all", "groups", "plain"])
def test_two_ranks_equal_one(folder: Path, case: int) -> None:
    name, loss, use_groups = cases()[case]
    got = torch.load(folder / "results.pt")[name]
    expected = loss_and_gradient(loss, slice(None), use_groups)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("case", [3, 4], ids=["gather=False", "evaluation"])
def test_without_gathering_ranks_stand_alone(folder: Path, case: int) -> None:
    name, loss, _ = cases()[case]
    got = torch.load(folder / "results.pt")[name]
    parts = [loss_and_gradient(loss, slice(k * ROWS, (k + 1) * ROWS), False) for k in range(RANKS)]
    torch.testing.assert_close(got[0], (parts[0][0] + parts[1][0]) / RANKS)
    torch.testing.assert_close(got[1], (parts[0][1] + parts[1][1]) / RANKS)


def test_groups_keep_other_ranks_out(folder: Path) -> None:
    results = torch.load(folder / "results.pt")
    assert results["groups"][0] < results["all"][0]


def test_uneven_ranks_are_refused_on_every_rank(folder: Path) -> None:
    for rank in range(RANKS):
        message = (folder / f"uneven{rank}").read_text()
        assert "holds [4, 6] rows" in message or "holds [2, 3] rows" in message
        assert "drop_last=True" in message


def test_without_a_process_group_there_is_one_rank() -> None:
    assert world() == (0, 1)
    with pytest.raises((RuntimeError, ValueError), match="process group"):
        gather_rows(torch.ones(2))


if __name__ == "__main__":
    work(int(sys.argv[1]), sys.argv[2])
