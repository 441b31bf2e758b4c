"""Train and evaluate self-supervised embeddings of single cells on composed batches."""

from importlib.metadata import version

__all__: list[str] = []
__version__ = version("viscy-train")
