"""Compose the training batches of self-supervised models of single cells in time-lapse microscopy.

Names load on first use: ``import viscy_data`` imports neither PyTorch nor TensorStore nor iohub.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from viscy_data.errors import (
        ExperimentsFileError,
        InvalidInputError,
        StoreError,
        TracksError,
        ViscyDataError,
    )

__all__ = [
    "ExperimentsFileError",
    "InvalidInputError",
    "StoreError",
    "TracksError",
    "ViscyDataError",
]

_HOME = {
    "ExperimentsFileError": "errors",
    "InvalidInputError": "errors",
    "StoreError": "errors",
    "TracksError": "errors",
    "ViscyDataError": "errors",
}

__version__ = version("viscy-data")


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
