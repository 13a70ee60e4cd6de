"""Feature-Distribution Alignment (Eq. 9-14) in one chunked pass, gradient included.

The naive form builds tokens x tokens x labels tensors and lets autograd keep several of them. Here
loss and gradient come out of the same pass over chunks of rows. With W the symmetric pair weights
of a patch, r their row sums, p_i the distributions and L_i = sum_j W_ij log(.)_ij, where (.)_ij is
the mixture (p_i + p_j) / 2 for JS and p_j for KL, both losses read
    sum_ij W_ij D_ij = sum_i (r_i log p_i - L_i) . p_i
and their gradients with respect to p_i
    JS:  r_i log p_i - L_i
    KL:  r_i (log p_i + 1) - L_i - (W p)_i / p_i
"""

from typing import Any

import torch
from torch import Tensor

from ovs3d.params import FdaParams

_TINY = 1e-8
_CHUNK_ELEMENTS = 1 << 20
"""Upper bound for rows x tokens x labels at once, so that temporaries stay in cache."""


def fda_loss(logits: Tensor, tokens: Tensor, params: FdaParams) -> Tensor:
    """Align the divergence of label distributions with the similarity of DINO tokens.

    Counts of similar and dissimilar pairs run over the whole batch, the pair of a token with
    itself included, as in the released code.

    Args:
        logits: [P, n, C] cosines z of the token rays of P patches.
        tokens: [P, n, E] DINO tokens, L2-normalised.
        params: weights, offset b, temperature tau and the divergence.

    Returns:
        The scalar loss (Eq. 14), differentiable in `logits`.
    """
    probabilities = (logits / params.temperature).softmax(-1)  # Eq. 10
    loss: Tensor = _FusedFda.apply(probabilities, tokens, params)
    return loss


class _FusedFda(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, probabilities: Tensor, tokens: Tensor, params: FdaParams) -> Tensor:
        # First axis: similar pairs (pos_F), dissimilar pairs (neg_F), Eq. 13.
        counts = probabilities.new_zeros(2)
        losses = probabilities.new_zeros(2)
        gradients = probabilities.new_zeros(2, *probabilities.shape)
        for patch, (p, f) in enumerate(zip(probabilities, tokens, strict=True)):
            log_p = p.clamp(min=_TINY).log()
            for rows in _row_chunks(p, params):
                weights = _pair_weights(f[rows], f, params.offset)
                counts += (weights != 0).sum(dim=(1, 2))
                loss, gradient = _sum_pairs(weights, p, log_p, rows, params.divergence)
                losses += loss
                gradients[:, patch, rows] = gradient
        scale = counts.new_tensor((params.positive, params.negative)) / counts.clamp(min=1)
        ctx.save_for_backward(torch.einsum("s,spnc->pnc", scale, gradients))
        return scale @ losses

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return upstream * gradient, None, None


def _row_chunks(p: Tensor, params: FdaParams) -> list[slice]:
    """Cut the rows so that the largest temporary has about `_CHUNK_ELEMENTS` elements."""
    tokens, labels = p.shape
    width = tokens * labels if params.divergence == "js" else 2 * tokens
    rows = max(1, _CHUNK_ELEMENTS // width)
    return [slice(start, min(start + rows, tokens)) for start in range(0, tokens, rows)]


def _pair_weights(rows: Tensor, tokens: Tensor, offset: float) -> Tensor:
    """Return pos_F and neg_F (Eq. 13) of some rows, stacked: [2, k, n]."""
    shifted = rows @ tokens.T - offset
    return torch.stack((shifted.clamp(min=0), shifted.clamp(max=0)))


def _sum_pairs(
    weights: Tensor, p: Tensor, log_p: Tensor, rows: slice, divergence: str
) -> tuple[Tensor, Tensor]:
    """Return the loss [2] and its gradient [2, k, C] of the pairs of some rows with all tokens."""
    row_sums = weights.sum(-1, keepdim=True)  # [2, k, 1]
    if divergence == "js":
        log_mixture = ((p[rows, None] + p[None]) / 2).clamp_(min=_TINY).log_()  # [k, n, C]
        logs = torch.bmm(weights.transpose(0, 1), log_mixture).transpose(0, 1)
        gradient = row_sums * log_p[rows] - logs
        return (gradient * p[rows]).sum(dim=(1, 2)), gradient
    inner = row_sums * log_p[rows] - weights @ log_p
    gradient = inner + row_sums - (weights @ p) / p[rows].clamp(min=_TINY)
    return (inner * p[rows]).sum(dim=(1, 2)), gradient
