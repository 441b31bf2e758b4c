"""Contrastive losses and the figures that show what they do to the embedding: torch only."""

from viscy_train.losses.diagnostics import alignment, effective_rank, pair_similarities, uniformity
from viscy_train.losses.ntxent_hcl import NTXentHCL

__all__ = ["NTXentHCL", "alignment", "effective_rank", "pair_similarities", "uniformity"]
