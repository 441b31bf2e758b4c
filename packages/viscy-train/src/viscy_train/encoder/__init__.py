"""The encoder: patches to embeddings and projections.

Key types: `EncoderOptions` (what to build), `ContrastiveEncoder` (what is built).

Read in this order:

- `options`: which encoder to build
- `stem`: depth folded into channels, in place of a backbone's first convolution
- `small`: a backbone that trains on a CPU in a minute
- `backbones`: any backbone of timm by its name, the small one, or a class of one's own
- `encoder`: stem, backbone and head together
"""

from viscy_train.encoder.backbones import check_backbone
from viscy_train.encoder.encoder import ContrastiveEncoder, Encoded
from viscy_train.encoder.options import EncoderOptions, is_class_path
from viscy_train.encoder.stem import FoldedStem

__all__ = ["ContrastiveEncoder", "Encoded", "EncoderOptions", "FoldedStem", "check_backbone", "is_class_path"]
