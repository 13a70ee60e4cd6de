"""Feature-Distribution Alignment (Eq. 9-14) in one chunked pass, gradient included.

The naive form builds tokens x tokens x labels tensors and lets autograd keep several of them. Here
loss and gradient come out of the same pass over blocks of rows. With W the symmetric pair weights
of a patch, r their row sums, p_i the distributions and L_i = sum_j W_ij log(.)_ij, where (.)_ij is
the mixture (p_i + p_j) / 2 for JS and p_j for KL, both losses read
    sum_ij W_ij D_ij = sum_i (r_i log p_i - L_i) . p_i
and their gradients with respect to p_i
    JS:  r_i log p_i - L_i
    KL:  r_i (log p_i + 1) - L_i - (W p)_i / p_i
W and the mixture are symmetric: a block holds some rows and only the columns from its first row on,
and what lies right of its square counts for rows and columns alike.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from ovs3d.params import FdaParams

_TINY = 1e-8
_BLOCK_ROWS = 128
"""Rows of pair weights at a time: enough for fast matrix products."""
_TILE_ELEMENTS = 1 << 19
"""About how many mixtures to make at a time, so that they stay in cache."""


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
        spans = _spans(tokens.shape[1], _BLOCK_ROWS)
        shifted = [
            [(f[rows] @ f[rows.start :].T).sub_(params.offset) for rows in spans] for f in tokens
        ]
        counts = torch.stack([_count_signs(block) for blocks in shifted for block in blocks]).sum(0)
        scale = counts.new_tensor((params.positive, params.negative)) / counts.clamp(min=1)
        sum_pairs = _js_pairs if params.divergence == "js" else _kl_pairs
        losses, gradients = [], []
        for p, blocks in zip(probabilities, shifted, strict=True):
            # pos_F and neg_F (Eq. 13) share no pair, so one matrix holds both with their factors.
            weights = (block.mul_(torch.where(block > 0, *scale)) for block in blocks)
            loss, gradient = sum_pairs(p.clamp(min=_TINY), zip(spans, weights, strict=True))
            losses.append(loss)
            gradients.append(gradient)
        ctx.save_for_backward(torch.stack(gradients))
        return torch.stack(losses).sum()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return upstream * gradient, None, None


def _spans(length: int, size: int) -> list[slice]:
    """Cut a length into pieces."""
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]


def _count_signs(block: Tensor) -> Tensor:
    """Return how many pairs a block [k, m] and its mirror have above and below zero: float [2]."""
    square = block[:, : len(block)]
    above = 2 * torch.count_nonzero(block > 0) - torch.count_nonzero(square > 0)
    below = 2 * torch.count_nonzero(block < 0) - torch.count_nonzero(square < 0)
    return torch.stack((above, below)).to(block.dtype)


Blocks = Iterable[tuple[slice, Tensor]]


def _js_pairs(p: Tensor, blocks: Blocks) -> tuple[Tensor, Tensor]:
    """Return the loss of one patch, a scalar, and its gradient [n, C].

    Args:
        p: [n, C] distributions.
        blocks: rows and their weights [k, n - first row].
    """
    # Labels first: the innermost loops run over tokens, of which there are many.
    half = p.T.contiguous() / 2
    logs, row_sums = torch.zeros_like(half), p.new_zeros(len(p))
    for block_rows, weights in blocks:
        _add_mirrored(row_sums, weights, block_rows)
        first = block_rows.start
        for tile in _spans(len(weights), max(1, _TILE_ELEMENTS // (weights.shape[1] * len(half)))):
            rows = slice(first + tile.start, first + tile.stop)
            terms = half[:, rows, None] + half[:, None, rows.start :]  # mixtures [C, k, m]
            terms.log_().mul_(weights[tile, tile.start :])
            _add_mirrored(logs, terms, rows)
    gradient = row_sums[:, None] * p.log() - logs.T
    return (gradient * p).sum(), gradient


def _add_mirrored(sums: Tensor, terms: Tensor, rows: slice) -> None:
    """Add to sums [..., n] a block [..., k, m] of terms and, beyond its square, its mirror."""
    sums[..., rows] += terms.sum(-1)
    sums[..., rows.stop :] += terms[..., rows.stop - rows.start :].sum(-2)


def _kl_pairs(p: Tensor, blocks: Blocks) -> tuple[Tensor, Tensor]:
    """Return loss and gradient of one patch as `_js_pairs` does."""
    log_p = p.log()
    both = torch.cat((log_p, p, torch.ones_like(p[:, :1])), dim=1)
    sums = torch.zeros_like(both)
    for rows, weights in blocks:
        sums[rows] += weights @ both[rows.start :]
        sums[rows.stop :] += weights[:, rows.stop - rows.start :].T @ both[rows]
    logs, mixed, row_sums = torch.tensor_split(sums, (p.shape[1], 2 * p.shape[1]), dim=1)
    inner = row_sums * log_p - logs
    return (inner * p).sum(), inner + row_sums - mixed / p
