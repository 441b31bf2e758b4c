"""Train and evaluate self-supervised embeddings of single cells on composed batches.

Names load on first use: ``import viscy_train`` imports neither PyTorch nor Lightning.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from viscy_train.callbacks import CompositionLog, DataWait, FitProgress
    from viscy_train.datamodule import AnchorDataModule, PatchOptions
    from viscy_train.demo import run_demo
    from viscy_train.encoder import ContrastiveEncoder, EncoderOptions
    from viscy_train.evaluation import (
        Evaluation,
        Metric,
        NotAvailable,
        evaluate,
        evaluate_arrays,
        read_embeddings,
    )
    from viscy_train.losses import NTXentHCL
    from viscy_train.models.checkpoint import embed_checkpoint, load_checkpoint
    from viscy_train.module import ContrastiveModule, LossOptions, OptimizerOptions
    from viscy_train.parts import BatchOptions, SplitOptions
    from viscy_train.schedules import WarmupCosine

__all__ = [
    "AnchorDataModule",
    "BatchOptions",
    "CompositionLog",
    "ContrastiveEncoder",
    "ContrastiveModule",
    "DataWait",
    "EncoderOptions",
    "Evaluation",
    "FitProgress",
    "LossOptions",
    "Metric",
    "NTXentHCL",
    "NotAvailable",
    "OptimizerOptions",
    "PatchOptions",
    "SplitOptions",
    "WarmupCosine",
    "embed_checkpoint",
    "evaluate",
    "evaluate_arrays",
    "load_checkpoint",
    "read_embeddings",
    "run_demo",
]

_HOMES = {
    "callbacks": (
        "CompositionLog",
        "DataWait",
        "FitProgress",
    ),
    "models.checkpoint": (
        "embed_checkpoint",
        "load_checkpoint",
    ),
    "datamodule": (
        "AnchorDataModule",
        "PatchOptions",
    ),
    "demo": ("run_demo",),
    "encoder": (
        "ContrastiveEncoder",
        "EncoderOptions",
    ),
    "evaluation": (
        "Evaluation",
        "Metric",
        "NotAvailable",
        "evaluate",
        "evaluate_arrays",
        "read_embeddings",
    ),
    "losses": ("NTXentHCL",),
    "module": (
        "ContrastiveModule",
        "LossOptions",
        "OptimizerOptions",
    ),
    "parts": (
        "BatchOptions",
        "SplitOptions",
    ),
    "schedules": ("WarmupCosine",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__version__ = version("viscy-train")


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
