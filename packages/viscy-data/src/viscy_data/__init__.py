"""Compose the training batches of self-supervised models of single cells in time-lapse microscopy.

Names load on first use: ``import viscy_data`` imports neither PyTorch nor TensorStore nor iohub. The public
names are those of ``__init__.pyi``.
"""

from importlib.metadata import version

import lazy_loader

__version__ = version("viscy-data")
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
