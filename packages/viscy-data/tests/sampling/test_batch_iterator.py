"""States of iterators, and of loaders that draw ahead: what was consumed is what counts."""

import json
from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sampler_loading import EchoDataset, same
from sampling_cases import Case, all_axes, cases, epoch_of, quiet_sampler
from torch.utils.data import DataLoader, DistributedSampler

from viscy_data.dataset.loader import AnchorLoader, anchor_loader
from viscy_data.errors import InvalidInputError

STATEFUL = pytest.mark.filterwarnings(
    "ignore:'set_vital' is deprecated:UserWarning"  # torchdata's own use of what newer PyTorch renames
)


@settings(max_examples=30)
@given(
    case=cases(),
    ranks=st.permutations([4, 1, 6]),
    consumed=st.lists(st.integers(0, 9), min_size=3, max_size=3),
    ahead=st.integers(0, 5),
)
def test_what_was_consumed_decides_on_4_ranks_then_1_then_6(
    case: Case, ranks: list[int], consumed: list[int], ahead: int
) -> None:
    """The third time, whatever is left; an epoch that ends before goes over into the next one."""
    whole = case.sampler()
    expected = epoch_of(whole, 0)
    state: dict[str, Any] = whole.state_dict()
    seen: list[list[int]] = []
    for world, count in zip(ranks, consumed, strict=True):
        samplers = [case.sampler(num_replicas=world, rank=rank) for rank in range(world)]
        for sampler in samplers:
            sampler.load_state_dict(state)
        if samplers[0].epoch:
            break
        drawn = [list(islice(sampler, count + ahead)) for sampler in samplers]
        done = [batches[:count] for batches in drawn]
        seen += [batch for turn in zip(*done, strict=True) for batch in turn]
        states = [sampler.state_dict(consumed=len(done[0])) for sampler in samplers]
        assert all(one == states[0] for one in states)
        state = json.loads(json.dumps(states[0]))
        assert seen[: len(expected)] == expected[: state["position"]]
    whole.load_state_dict(state)
    if whole.epoch == 0:
        assert seen + list(whole) == expected
    else:
        assert seen[: len(expected)] == expected


def test_more_than_was_drawn_cannot_be_consumed() -> None:
    table, arguments = all_axes()
    sampler = quiet_sampler(table, **arguments, num_replicas=2, rank=1)
    iterator = iter(sampler)
    with pytest.raises(InvalidInputError, match="consumed=1 is more than the 0 batches"):
        sampler.state_dict(consumed=1)
    assert sampler.state_dict(consumed=0)["position"] == 0
    next(iterator)
    assert sampler.state_dict(consumed=1)["position"] == 2
    with pytest.raises(InvalidInputError, match="consumed=2 is more than the 1 batches"):
        sampler.state_dict(consumed=2)
    with pytest.raises(InvalidInputError, match="consumed=True is not an integer >= 0"):
        sampler.state_dict(consumed=True)


def test_resuming_composes_no_batch_before_the_position(monkeypatch: pytest.MonkeyPatch) -> None:
    table, arguments = all_axes()
    sampler = quiet_sampler(table, **arguments)
    n = sampler.batches_per_epoch
    sampler.load_state_dict(sampler.state_dict() | {"epoch": 700_000, "position": n - 3})
    composed: list[tuple[int, int]] = []
    compose = sampler._composer.rows

    def count(epoch: int, numbers: Any) -> Any:
        composed.extend((epoch, number) for number in numbers)
        return compose(epoch, numbers)

    monkeypatch.setattr(sampler._composer, "rows", count)
    assert len(list(sampler)) == 3
    assert composed == [(700_000, n - 3), (700_000, n - 2), (700_000, n - 1)]


@STATEFUL
@pytest.mark.parametrize("workers", [0, 2])
def test_a_stateful_loader_goes_on_at_any_batch_and_between_epochs(workers: int) -> None:
    from torchdata.stateful_dataloader import StatefulDataLoader

    table, arguments = all_axes(batch_size=80)

    def load() -> Any:
        dataset: Any = EchoDataset(len(table))
        return anchor_loader(
            dataset, quiet_sampler(table, **arguments), num_workers=workers, loader=StatefulDataLoader
        )

    loader = load()
    states, keys = [], []
    for _ in range(2):
        for batch in loader:
            keys.append(batch["key"])
            states.append(loader.state_dict())
    n = len(keys) // 2
    assert keys == [(epoch, number) for epoch in range(2) for number in range(n)]
    ended = loader.state_dict()
    for done in (n,) if workers else (1, n, n + 2):  # starting workers takes seconds
        again = load()
        again.load_state_dict(states[done - 1])
        rest = [batch["key"] for batch in again]
        # nothing is left of an epoch after its last batch, and the epoch is not lost
        assert rest == keys[done : -(-done // n) * n]
        assert next(iter(again))["key"] == (-(-done // n), 0)
    again = load()
    again.load_state_dict(ended)
    assert next(iter(again))["key"] == (2, 0)


def test_accelerate_may_not_deal_out_batches_that_are_dealt_out_already() -> None:
    from accelerate.data_loader import prepare_data_loader

    table, arguments = all_axes()

    def prepared(**ranks: int) -> Any:
        loader: DataLoader[Any] = DataLoader(
            EchoDataset(len(table)), batch_sampler=quiet_sampler(table, **arguments, **ranks), collate_fn=same
        )
        return prepare_data_loader(loader, num_processes=2, process_index=1)

    twice = prepared(num_replicas=2, rank=1)
    with pytest.raises(InvalidInputError, match=r"num_replicas=2.*prepare\(\) deals them out to 2 again"):
        next(iter(twice))
    once = prepared(num_replicas=1, rank=0)
    assert next(iter(once))["key"] == (0, 1)


@pytest.mark.parametrize("loader", [AnchorLoader, DataLoader])
def test_accelerate_may_not_dispatch_batches_that_are_dealt_out_already(loader: Any) -> None:
    """With ``dispatch_batches=True`` process 0 draws for all, and would draw its own share alone."""
    from accelerate.data_loader import prepare_data_loader

    table, arguments = all_axes()

    def first(**ranks: int) -> Any:
        batches = loader(
            EchoDataset(len(table)),
            batch_sampler=quiet_sampler(table, **arguments, **ranks),
            collate_fn=lambda batch: torch.tensor(batch["rows"]),
        )
        prepared: Any = prepare_data_loader(
            batches, num_processes=2, process_index=0, dispatch_batches=True, put_on_device=True
        )
        # nobody to broadcast to
        prepared.state = SimpleNamespace(num_processes=2, process_index=0, device=torch.device("cpu"))
        return next(iter(prepared)).tolist()

    with pytest.raises(InvalidInputError, match=r"num_replicas=2.*prepare\(\) deals them out to 2 again"):
        first(num_replicas=2, rank=0)
    assert first(num_replicas=1, rank=0) == quiet_sampler(table, **arguments).batch(0)


def test_a_sampler_that_a_trainer_builds_anew_says_what_to_set() -> None:
    table, arguments = all_axes()
    sampler = quiet_sampler(table, **arguments)
    foreign: Any = DistributedSampler(EchoDataset(9), num_replicas=2, rank=0)
    with pytest.raises(InvalidInputError, match=r"pass Trainer\(use_distributed_sampler=False\)"):
        type(sampler)(foreign, batch_size=sampler.batch_size, drop_last=sampler.drop_last)
