"""Feature-Distribution Alignment (Eq. 9-14) in one chunked pass, gradient included.

The naive form builds tokens x tokens x labels tensors and lets autograd keep several of them. Here
loss and gradient come out of the same pass over tiles of rows. With W the symmetric pair weights
of a patch, r their row sums, p_i the distributions and L_i = sum_j W_ij log(.)_ij, where (.)_ij is
the mixture (p_i + p_j) / 2 for JS and p_j for KL, both losses read
    sum_ij W_ij D_ij = sum_i (r_i log p_i - L_i) . p_i
and their gradients with respect to p_i
    JS:  r_i log p_i - L_i
    KL:  r_i (log p_i + 1) - L_i - (W p)_i / p_i
W and the mixture are symmetric: a tile holds some rows and only the columns from its first row on,
and what lies right of its square counts for rows and columns alike.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from ovs3d.params import FdaParams

_TINY = 1e-8
_TILE_ELEMENTS = 1 << 18
"""Upper bound for rows x tokens x labels at once, so that temporaries stay in cache."""
_MIN_ROWS = 16
"""Lower bound for the rows of a tile; fewer make slow matrix products."""


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
        spans = _row_spans(probabilities, params)
        shifted = [[f[rows] @ f[rows.start :].T - params.offset for rows in spans] for f in tokens]
        counts = sum(
            (_count_signs(tile) for tiles in shifted for tile in tiles), tokens.new_zeros(2)
        )
        scale = counts.new_tensor((params.positive, params.negative)) / counts.clamp(min=1)
        sum_pairs = _js_pairs if params.divergence == "js" else _kl_pairs
        losses, gradients = [], []
        for p, tiles in zip(probabilities, shifted, strict=True):
            # pos_F and neg_F (Eq. 13) share no pair, so one matrix holds both with their factors.
            weights = (tile.mul_(torch.where(tile > 0, scale[0], scale[1])) for tile in tiles)
            loss, gradient = sum_pairs(p.clamp(min=_TINY), zip(spans, weights, strict=True))
            losses.append(loss)
            gradients.append(gradient)
        ctx.save_for_backward(torch.stack(gradients))
        return torch.stack(losses).sum()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return upstream * gradient, None, None


def _row_spans(probabilities: Tensor, params: FdaParams) -> list[slice]:
    """Cut the rows so that the largest temporary has about `_TILE_ELEMENTS` elements."""
    _, tokens, labels = probabilities.shape
    width = tokens * labels if params.divergence == "js" else tokens
    rows = max(_MIN_ROWS, _TILE_ELEMENTS // width)
    return [slice(start, min(start + rows, tokens)) for start in range(0, tokens, rows)]


def _count_signs(tile: Tensor) -> Tensor:
    """Return how many pairs a tile [k, m] and its mirror have above and below zero: float [2]."""
    square = tile[:, : len(tile)]
    return torch.stack(
        [
            2 * torch.count_nonzero(whole) - torch.count_nonzero(part)
            for whole, part in ((tile > 0, square > 0), (tile < 0, square < 0))
        ]
    )


Tiles = Iterable[tuple[slice, Tensor]]


def _js_pairs(p: Tensor, tiles: Tiles) -> tuple[Tensor, Tensor]:
    """Return the loss of one patch, a scalar, and its gradient [n, C].

    Args:
        p: [n, C] distributions.
        tiles: rows and their weights [k, n - first row].
    """
    # Labels first: the innermost loops run over tokens, of which there are many.
    half = p.T.contiguous() / 2
    logs, row_sums = torch.zeros_like(half), p.new_zeros(len(p))
    for rows, weights in tiles:
        terms = half[:, rows, None] + half[:, None, rows.start :]  # mixtures [C, k, m]
        terms.log_().mul_(weights)
        _add_mirrored(row_sums, weights, rows)
        _add_mirrored(logs, terms, rows)
    gradient = row_sums[:, None] * p.log() - logs.T
    return (gradient * p).sum(), gradient


def _add_mirrored(sums: Tensor, terms: Tensor, rows: slice) -> None:
    """Add to sums [..., n] a tile [..., k, m] of terms and, beyond its square, its mirror."""
    sums[..., rows] += terms.sum(-1)
    sums[..., rows.stop :] += terms[..., rows.stop - rows.start :].sum(-2)


def _kl_pairs(p: Tensor, tiles: Tiles) -> tuple[Tensor, Tensor]:
    """Return loss and gradient of one patch as `_js_pairs` does."""
    log_p = p.log()
    both = torch.cat((log_p, p, torch.ones_like(p[:, :1])), dim=1)
    sums = torch.zeros_like(both)
    for rows, weights in tiles:
        sums[rows] += weights @ both[rows.start :]
        sums[rows.stop :] += weights[:, rows.stop - rows.start :].T @ both[rows]
    logs, mixed, row_sums = torch.tensor_split(sums, (p.shape[1], 2 * p.shape[1]), dim=1)
    inner = row_sums * log_p - logs
    return (inner * p).sum(), inner + row_sums - mixed / p
