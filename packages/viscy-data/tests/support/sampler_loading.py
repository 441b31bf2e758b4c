"""A dataset whose batches say what reached it, in a worker or not."""

from typing import Any

from torch.utils.data import Dataset, get_worker_info


class EchoDataset(Dataset[Any]):
    """Gives back the rows of a batch, the key that came with them, and who read them."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, row: int) -> Any:
        raise NotImplementedError  # whole batches only

    def __getitems__(self, rows: Any) -> dict[str, Any]:
        worker = get_worker_info()
        return {
            "rows": list(rows),
            "key": (rows.epoch, rows.number),
            "worker": None if worker is None else worker.id,
        }


def same(batch: Any) -> Any:
    """Leave a batch as it is."""
    return batch
