"""Train and evaluate self-supervised embeddings of single cells on composed batches.

Names load on first use: ``import viscy_train`` imports neither PyTorch nor Lightning. The public names are
those of ``__init__.pyi``.
"""

from importlib.metadata import version

import lazy_loader

__version__ = version("viscy-train")
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
