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

from collections.abc import Sequence
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
        # Same rows of all patches together: one patch alone keeps fewer cores busy.
        shifted = [
            torch.baddbmm(
                tokens.new_tensor(-params.offset),
                tokens[:, rows],
                tokens[:, rows.start :].transpose(1, 2),
            )
            for rows in spans
        ]
        counts = torch.stack([_count_signs(block) for block in shifted]).sum(0)
        scale = counts.new_tensor((params.positive, params.negative)) / counts.clamp(min=1)
        # pos_F and neg_F (Eq. 13) share no pair, so one matrix holds both with their factors.
        weights = [block.mul_(torch.where(block > 0, scale[0], scale[1])) for block in shifted]
        sum_pairs = _js_pairs if params.divergence == "js" else _kl_pairs
        blocks = list(zip(spans, weights, strict=True))
        loss, gradient = sum_pairs(probabilities.clamp(min=_TINY), blocks)
        ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return upstream * gradient, None, None


def _spans(length: int, size: int) -> list[slice]:
    """Cut a length into pieces."""
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]


def _count_signs(block: Tensor) -> Tensor:
    """Return how many pairs [P, k, m] and their mirrors have above and below zero: float [2]."""
    square = block[:, :, : block.shape[1]]
    above = 2 * torch.count_nonzero(block > 0) - torch.count_nonzero(square > 0)
    other = 2 * torch.count_nonzero(block) - torch.count_nonzero(square)
    return torch.stack((above, other - above)).to(block.dtype)


Blocks = Sequence[tuple[slice, Tensor]]


def _js_pairs(p: Tensor, blocks: Blocks) -> tuple[Tensor, Tensor]:
    """Return the loss, a scalar, and its gradient [P, n, C].

    Args:
        p: [P, n, C] distributions.
        blocks: rows and their weights [P, k, n - first row].
    """
    # Labels first: the innermost loops run over tokens, of which there are many.
    half = p.transpose(1, 2).contiguous() / 2
    logs, row_sums = torch.zeros_like(half), p.new_zeros(p.shape[:2])
    for block_rows, weights in blocks:
        _add_mirrored(row_sums, weights, block_rows)
        rows_per_tile = max(1, _TILE_ELEMENTS // (weights.shape[2] * p.shape[2]))
        for tile in _spans(weights.shape[1], rows_per_tile):
            rows = slice(block_rows.start + tile.start, block_rows.start + tile.stop)
            for patch in range(len(p)):
                # Mixtures [C, k, m].
                terms = half[patch, :, rows, None] + half[patch, :, None, rows.start :]
                terms.log_().mul_(weights[patch, tile, tile.start :])
                _add_mirrored(logs[patch], terms, rows)
    gradient = row_sums[:, :, None] * p.log() - logs.transpose(1, 2)
    return (gradient * p).sum(), gradient


def _add_mirrored(sums: Tensor, terms: Tensor, rows: slice) -> None:
    """Add to sums [..., n] a block [..., k, m] of terms and, beyond its square, its mirror."""
    sums[..., rows] += terms.sum(-1)
    sums[..., rows.stop :] += terms[..., rows.stop - rows.start :].sum(-2)


def _kl_pairs(p: Tensor, blocks: Blocks) -> tuple[Tensor, Tensor]:
    """Return loss and gradient as `_js_pairs` does."""
    log_p = p.log()
    both = torch.cat((log_p, p, torch.ones_like(p[:, :, :1])), dim=2)
    sums = torch.zeros_like(both)
    for rows, weights in blocks:
        sums[:, rows] += weights @ both[:, rows.start :]
        beyond = weights[:, :, rows.stop - rows.start :].transpose(1, 2)
        sums[:, rows.stop :] += beyond @ both[:, rows]
    logs, mixed, row_sums = torch.tensor_split(sums, (p.shape[2], 2 * p.shape[2]), dim=2)
    inner = row_sums * log_p - logs
    return (inner * p).sum(), inner + row_sums - mixed / p
