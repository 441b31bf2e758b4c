r"""NT-Xent with hard negatives weighted up, on one matrix with masks.

Both views are concatenated to 2N rows. With cosine similarity s, temperature T and the positive p of
row i, the loss is the mean over rows of

.. math:: -\log \frac{e^{s_{ip}/T}}{e^{s_{ip}/T} + \sum_j w_{ij} e^{s_{ij}/T}},
          \qquad w_{ij} = n_i \frac{e^{\beta s_{ij}/T}}{\sum_k e^{\beta s_{ik}/T}}

over the n_i *negatives* j of i: every row but i, p and those that a mask takes out (the same lineage, the
same value, another group). The weights average 1; ``beta=0`` is NT-Xent (Chen et al. 2020, arXiv 2002.05709),
``beta>0`` is Robinson et al. 2021 (arXiv 2010.04592) without debiasing. Gradients flow through w.

Never formed as written: ``log sum_j w_ij e^(s_ij/T) = log n_i + lse_j((1 + beta) s_ij/T) -
lse_j(beta s_ij/T)``, which no temperature overflows.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from viscy_train.losses.gather import check_same_length, gather_rows, world


class NTXentHCL(nn.Module):
    """Contrast each cell with its positive, against negatives weighted by how hard they are.

    Parameters
    ----------
    temperature : float
        T > 0: the smaller, the more the nearest negatives count.
    beta : float
        at least 0: how much more a hard negative weighs; 0 is plain NT-Xent.
    gather : bool
        In training under ``torch.distributed``, take negatives from all ranks (with gradients). In
        evaluation mode the loss is always that of this rank's batch, whatever the number of ranks.
    across_groups : bool
        Let rows of batches of another group be negatives too. The default keeps them out, so that
        gathering does not bring back the differences between experiments that composing removed.

    Raises
    ------
    ValueError
        `temperature` not positive and finite; `beta` negative or not finite.

    Examples
    --------
    >>> import torch
    >>> loss = NTXentHCL(temperature=0.5, beta=0.0)
    >>> anchor = torch.eye(2)
    >>> round(loss(anchor, anchor).item(), 4)  # -log(e^2 / (e^2 + 1 + 1))
    0.2395
    """

    def __init__(
        self,
        temperature: float = 0.07,
        beta: float = 0.5,
        *,
        gather: bool = True,
        across_groups: bool = False,
    ) -> None:
        super().__init__()
        if not (math.isfinite(temperature) and temperature > 0):
            raise ValueError(f"temperature={temperature}: allowed are finite values above 0, such as 0.07")
        if not (math.isfinite(beta) and beta >= 0):
            raise ValueError(f"beta={beta}: allowed are finite values from 0 (plain NT-Xent), such as 0.5")
        self.temperature = temperature
        self.beta = beta
        self.gather = gather
        self.across_groups = across_groups

    def extra_repr(self) -> str:
        """Return the options for ``repr``."""
        return (
            f"temperature={self.temperature}, beta={self.beta}, "
            f"gather={self.gather}, across_groups={self.across_groups}"
        )

    def forward(
        self,
        anchor: Tensor,
        positive: Tensor,
        *,
        lineage_ids: Tensor | None = None,
        group_ids: Tensor | None = None,
        value_ids: Tensor | None = None,
    ) -> Tensor:
        """Return the mean loss of this rank's 2N rows, a scalar.

        A row that has no negatives left adds 0 to the mean, as the formula has it, and no gradient.

        Parameters
        ----------
        anchor, positive : Tensor
            (N, D) projections; row i of one belongs to row i of the other. Computed in float32 (in
            float64 where that is given), under autocast too.
        lineage_ids : Tensor, optional
            (N,) integers: rows of one lineage are not negatives of each other. One numbering on all ranks.
            (2N,) of anchors, then of positives, where a cell and its positive are of different lineages.
        group_ids : Tensor, optional
            (N,) integers: the group of the *batch* that a row came in (leaked rows carry it too).
        value_ids : Tensor, optional
            (N,) integers: rows of one value are not negatives of each other. For positives that are other
            cells of the same value, such as the same gene: two that may be drawn as a pair are then never
            pushed apart. One numbering on all ranks.

        Raises
        ------
        ValueError
            Shapes or dtypes that do not fit; under gathering, ranks with different N.
        """
        _check_views(anchor, positive)
        _check_ids("lineage_ids", lineage_ids, anchor)
        _check_ids("group_ids", group_ids, anchor)
        _check_ids("value_ids", value_ids, anchor)
        with torch.autocast(anchor.device.type, enabled=False):
            return self._loss(anchor, positive, (lineage_ids, value_ids), group_ids)

    def _loss(
        self,
        anchor: Tensor,
        positive: Tensor,
        alike: tuple[Tensor | None, ...],
        group_ids: Tensor | None,
    ) -> Tensor:
        precision = torch.float64 if anchor.dtype == torch.float64 else torch.float32
        own = functional.normalize(torch.cat([anchor, positive]).to(precision), dim=1)
        rank, ranks = world()
        gathered = self.gather and self.training and ranks > 1
        if gathered:
            check_same_length(own)
        everyone = gather_rows(own) if gathered else own
        logits = own @ everyone.T / self.temperature

        rows = torch.arange(len(own), device=own.device)
        first = rank * len(own) if gathered else 0
        partners = first + (rows + len(anchor)) % len(own)
        negatives = torch.ones_like(logits, dtype=torch.bool)
        negatives[rows, first + rows] = False
        negatives[rows, partners] = False
        for ids in alike:
            if ids is not None:
                negatives &= ~_same(_of_both(ids, own), gathered)
        if group_ids is not None and not self.across_groups:
            negatives &= _same(_of_both(group_ids, own), gathered)
        return _terms(logits, logits[rows, partners], negatives, self.beta).mean()


def _of_both(ids: Tensor, own: Tensor) -> Tensor:
    """Return the ids of both views (2N,); given once (N,), both share them."""
    return ids if len(ids) == len(own) else torch.cat([ids, ids])


def _same(own: Tensor, gathered: bool) -> Tensor:
    """Return (2N, rows of everyone), True where two rows carry the same id of ``own`` (2N,)."""
    everyone = gather_rows(own) if gathered else own
    return own[:, None] == everyone[None, :]


def _terms(logits: Tensor, positives: Tensor, negatives: Tensor, beta: float) -> Tensor:
    """Return the loss of each row from its logits (rows, all), positive logit (rows,) and mask."""
    count = negatives.sum(dim=1)
    empty = count == 0
    # a fully masked row would give inf - inf: leave it unmasked here, and set its term to 0 below.
    masked = ~(negatives | empty[:, None])
    tilted = ((1 + beta) * logits).masked_fill(masked, -torch.inf).logsumexp(dim=1)
    weight = (beta * logits).masked_fill(masked, -torch.inf).logsumexp(dim=1)
    against = count.clamp(min=1).to(logits.dtype).log() + tilted - weight
    return functional.softplus(against - positives).masked_fill(empty, 0.0)


def _check_views(anchor: Tensor, positive: Tensor) -> None:
    shapes = f"anchor.shape={tuple(anchor.shape)}, positive.shape={tuple(positive.shape)}"
    if anchor.ndim != 2 or anchor.shape != positive.shape or anchor.numel() == 0:
        raise ValueError(f"{shapes}: both must be the same (N, D) with N and D at least 1")
    if not (anchor.is_floating_point() and positive.is_floating_point()):
        raise ValueError(f"anchor.dtype={anchor.dtype}, positive.dtype={positive.dtype}: give floating point")


def _check_ids(name: str, ids: Tensor | None, anchor: Tensor) -> None:
    if ids is None:
        return
    if ids.shape not in ((len(anchor),), (2 * len(anchor),)):
        raise ValueError(
            f"{name}.shape={tuple(ids.shape)}: give one id per row of anchor, ({len(anchor)},), where both "
            f"views of a cell share it, or one per row of anchor and positive, ({2 * len(anchor)},)"
        )
    if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise ValueError(f"{name}.dtype={ids.dtype}: ids are integers; give categorical codes")
