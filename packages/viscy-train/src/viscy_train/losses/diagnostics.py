"""Figures of a batch that show whether contrast works, or the embedding collapses.

All take one batch, are cheap, and carry no gradient. *Aligned* views lie close; a *uniform*
embedding spreads over the sphere; a *collapsed* one uses few directions (a low effective rank).
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Similarities(NamedTuple):
    """Mean cosine similarity of positive pairs and of all other pairs, scalars."""

    positive: Tensor
    negative: Tensor


@torch.no_grad()
def pair_similarities(anchor: Tensor, positive: Tensor) -> Similarities:
    """Return the mean cosine similarity of each anchor to its positive, and to the others' positives.

    Parameters
    ----------
    anchor, positive : Tensor
        (N, D); with N = 1 there are no other pairs and `negative` is NaN.

    Examples
    --------
    >>> import torch
    >>> similarity = pair_similarities(torch.eye(2), torch.eye(2))
    >>> similarity.positive.item(), similarity.negative.item()
    (1.0, 0.0)
    """
    first, second = _unit(anchor), _unit(positive)
    matched = (first * second).sum(dim=1)
    pairs = len(first) * (len(first) - 1)
    others = (
        (first.sum(dim=0) @ second.sum(dim=0) - matched.sum()) / pairs
        if pairs
        else matched.new_tensor(torch.nan)
    )
    return Similarities(matched.mean(), others)


@torch.no_grad()
def alignment(anchor: Tensor, positive: Tensor) -> Tensor:
    """Return the mean squared distance of positive pairs on the unit sphere; lower is better.

    Wang and Isola 2020, arXiv 2005.10242, with alpha = 2: 0 for identical views, 2 for orthogonal ones.
    """
    return (_unit(anchor) - _unit(positive)).square().sum(dim=1).mean()


@torch.no_grad()
def uniformity(points: Tensor) -> Tensor:
    """Return log mean exp(-2 d^2) over pairs of distinct rows on the unit sphere; lower is better.

    Wang and Isola 2020, arXiv 2005.10242, with t = 2: 0 where all (N, D) points coincide. NaN for N = 1.
    """
    squared = torch.pdist(_unit(points)).square()
    if not len(squared):
        return squared.new_tensor(torch.nan)
    return (
        torch.logsumexp(-2 * squared, dim=0) - torch.tensor(float(len(squared)), device=points.device).log()
    )


@torch.no_grad()
def effective_rank(points: Tensor) -> Tensor:
    """Return exp(entropy of the normalised singular values) of the centred rows (N, D).

    Roy and Vetterli 2007 (EUSIPCO): 1 where all rows lie on one line, at most min(N - 1, D); 0 where all
    rows are equal; NaN where the singular values cannot be computed, which ends no run.

    Examples
    --------
    >>> import torch
    >>> round(effective_rank(torch.cat([torch.eye(3), -torch.eye(3)])).item(), 4)
    3.0
    """
    centred = points.float() - points.float().mean(dim=0)
    try:
        values: Tensor = torch.linalg.svdvals(centred)
    except RuntimeError:  # it did not converge, or met a value that is not finite
        return centred.new_tensor(torch.nan)
    shares = values / values.sum().clamp(min=torch.finfo(values.dtype).tiny)
    entropy = torch.special.entr(shares).sum()
    return torch.where(values.sum() > 0, entropy.exp(), 0.0)


def _unit(points: Tensor) -> Tensor:
    return functional.normalize(points.float(), dim=1)
