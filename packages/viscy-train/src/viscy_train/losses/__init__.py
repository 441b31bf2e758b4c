"""Contrastive losses and the figures that show what they do to the embedding: torch only.

Key types: `NTXentHCL` (ntxent_hcl).

Read in this order:

- `ntxent_hcl`: NT-Xent with hard negatives weighted up
- `gather`: rows of every rank on every rank, with gradients
- `diagnostics`: whether contrast works, or the embedding collapses
"""

from viscy_train.losses.diagnostics import alignment, effective_rank, pair_similarities, uniformity
from viscy_train.losses.ntxent_hcl import NTXentHCL

__all__ = ["NTXentHCL", "alignment", "effective_rank", "pair_similarities", "uniformity"]
