"""A model as one file: the weights, and all that one must know to use them, in tensors and JSON.

Key types: `Model` (network and card), `Card`, `TrainedOn` (what the card says of the data).

Read in this order:

- `trained_on`: what a model was trained on, as plain values
- `card`: what a file says of its weights
- `file`: tensors and a block of JSON, read without running code
- `network`: the encoder as it is used, and models read and written
"""

from viscy_train.packed.card import Card
from viscy_train.packed.file import is_packed, read_card, read_packed, write_packed
from viscy_train.packed.network import Embedder, Model, load_weights, model_digest, read_model, write_model
from viscy_train.packed.trained_on import TrainedOn

__all__ = [
    "Card",
    "Embedder",
    "Model",
    "TrainedOn",
    "is_packed",
    "load_weights",
    "model_digest",
    "read_card",
    "read_model",
    "read_packed",
    "write_model",
    "write_packed",
]
