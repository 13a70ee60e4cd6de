"""Feature-Distribution Alignment (Eq. 9-14), loss and gradient in one pass of matrix products.

The naive form builds tokens x tokens x labels tensors and lets autograd keep several of them. Here
only the pair weights W of a patch are tokens x tokens; they are symmetric, so half of them is made.
With p_i the label distribution of token i and D_ij the divergence of p_i and p_j, the loss is a sum
over tokens and labels c,
    sum_ij W_ij D_ij = sum_ic Q_ic.
Here are Q and p dLoss/dp, element by element, with r the row sums of W:
    KL:  Q = p (r log p - W log p),                        p dLoss/dp = Q + r p - W p
    JS:  Q_i = sum_j W_ij p_i log(2 p_i / (p_i + p_j)),    p dLoss/dp = Q.
The summand of JS is a smooth function of p_i and p_j. Written in Chebyshev polynomials T of both,
p_i log(2 p_i / (p_i + p_j)) = sum_kl T_k(p_i) M_kl T_l(p_j), it needs no logarithm per pair:
    Q_i = T(p_i) M (W T(p))_i.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ovs3d.distill.params import FdaParams

_BLOCK_ROWS = 256
"""Rows of pair weights at a time: enough for fast matrix products; the squares on the diagonal, of
which half the pairs would do, are small."""
_ROOT = 5
"""The polynomials are in p^(1/5), in which the summand is smoothest over all magnitudes of p."""
_MOST_POLYNOMIALS = 27
"""With these, or with 5 + 2 times the spread of log p, what they leave out of a summand is at most
3e-8, less than float32 rounds it by."""
_LEAST_LOG = -18.4
"""Smaller p, below 1e-8, count as this: to float32 they add nothing to a mixture."""


def fda_loss(logits: Tensor, tokens: Tensor, params: FdaParams) -> Tensor:
    """Align the divergence of label distributions with the similarity of DINO tokens.

    Counts of similar and dissimilar pairs run over the whole batch, the pair of a token with
    itself included, as in the released code.

    Args:
        logits: [P, n, C] cosines z of the token rays of P patches.
        tokens: [P, n, E] DINO tokens, L2-normalised.
        params: weights, offset b, temperature tau, how to average and the divergence.

    Returns:
        The scalar loss (Eq. 14), differentiable in `logits`.
    """
    loss: Tensor = _FusedFda.apply(logits, tokens, params)
    return loss


class _FusedFda(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, tokens: Tensor, params: FdaParams) -> Tensor:
        log_p = (logits / params.temperature).log_softmax(-1)  # Eq. 10
        sum_terms = _js_terms if params.divergence == "js" else _kl_terms
        loss, gradient = sum_terms(log_p, _PairWeights(tokens, params))
        # Through the softmax; `gradient` has its factor p already.
        gradient -= log_p.exp() * gradient.sum(-1, keepdim=True)
        gradient /= params.temperature
        ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return upstream * gradient, None, None


class _PairWeights:
    """W, the sum of pos_F and neg_F (Eq. 13) with their factors, which share no pair.

    With x_ij the cosine of tokens i and j less the offset b,
        W_ij = f_pos x_ij if x_ij > 0, else f_neg x_ij:  f_pos times a leaky rectification of x_ij.
    A block [P, k, n - first row] holds k rows of W / f_pos and only the columns from its first row
    on; what lies left of them is the mirror of earlier blocks.
    """

    def __init__(self, tokens: Tensor, params: FdaParams) -> None:
        # The same rows of all patches together: one patch alone keeps fewer cores busy.
        starts = range(0, tokens.shape[1], _BLOCK_ROWS)
        offset = tokens.new_full((), -params.offset)
        self._rows = [slice(start, start + _BLOCK_ROWS) for start in starts]
        shifted = [
            torch.baddbmm(offset, tokens[:, rows], tokens[:, rows.start :].transpose(1, 2))
            for rows in self._rows
        ]
        above = torch.stack([_count_pairs(block > 0) for block in shifted]).sum()
        below = torch.stack([_count_pairs(block) for block in shifted]).sum() - above
        counts = torch.stack((above, below)).clamp(min=1).to(tokens.dtype)
        if not params.balance:
            counts = counts.sum().expand(2)
        positive, negative = (
            counts.new_full((), weight) / count
            for weight, count in zip((params.positive, params.negative), counts, strict=True)
        )
        # A factor of zero must still divide.
        self._positive = positive.clamp(min=1e-30)
        ratio = negative / self._positive
        self._blocks = [functional.prelu(block, ratio[None]) for block in shifted]

    def product(self, columns: Tensor) -> Tensor:
        """Return W columns, both [P, n, K]."""
        columns = columns * self._positive
        sums = torch.zeros_like(columns)
        for rows, block in zip(self._rows, self._blocks, strict=True):
            sums[:, rows] += block @ columns[:, rows.start :]
            # What lies right of the square counts for its columns, too.
            beyond = block[:, :, block.shape[1] :].transpose(1, 2)
            sums[:, rows.stop :] += beyond @ columns[:, rows]
        return sums


def _count_pairs(block: Tensor) -> Tensor:
    """Return how many pairs of a block [P, k, m] and of its mirror are not zero."""
    square = block[:, :, : block.shape[1]]
    return 2 * torch.count_nonzero(block) - torch.count_nonzero(square)


def _js_terms(log_p: Tensor, pairs: _PairWeights) -> tuple[Tensor, Tensor]:
    """Return the loss, a scalar, and its gradient times p, [P, n, C]."""
    basis, mixing = _expand_js(log_p)
    sums = pairs.product(basis.flatten(2)).view_as(basis)
    mixed = (sums.transpose(1, 2) @ mixing.transpose(2, 3)).transpose(1, 2)
    terms = (basis * mixed).sum(-1)
    return terms.sum(), terms


def _expand_js(log_p: Tensor) -> tuple[Tensor, Tensor]:
    """Return T(p) [P, n, C, K] and M [P, C, K, K], over the range of a label in a patch."""
    log_p = log_p.clamp(min=_LEAST_LOG)
    count = _MOST_POLYNOMIALS
    if log_p.device.type == "cpu":  # a GPU would wait for the spread longer than fewer save
        spread = float((log_p.amax(1) - log_p.amin(1)).max().nan_to_num())
        count = min(5 + math.ceil(2 * spread), _MOST_POLYNOMIALS)
    root = (log_p / _ROOT).exp()
    low, high = root.amin(1, keepdim=True), root.amax(1, keepdim=True)
    middle, half = (high + low) / 2, ((high - low) / 2).clamp(min=1e-8)
    order = torch.arange(count, device=log_p.device)
    angles = ((root - middle) / half).clamp(-1, 1).acos()
    basis = (angles[..., None] * order).cos()
    # Interpolation at the Chebyshev nodes; its coefficients come from a cosine transform.
    node_angles = math.pi / count * (order.double() + 0.5)
    transform = (order[:, None] * node_angles).cos() * (2 / count)
    transform[0] /= 2
    nodes = middle.mT.double() + half.mT.double() * node_angles.cos()
    a = nodes.pow(_ROOT)[..., None]
    summand = a * (2 * a / (a + a.mT)).log()
    return basis, (transform @ summand @ transform.T).to(log_p.dtype)


def _kl_terms(log_p: Tensor, pairs: _PairWeights) -> tuple[Tensor, Tensor]:
    """Return the loss and its gradient times p as `_js_terms` does."""
    p = log_p.exp()
    # Only differences of logarithms count: small ones are rounded less.
    log_p = log_p - log_p.mean(1, keepdim=True)
    columns = torch.cat((log_p, p, torch.ones_like(p[:, :, :1])), dim=2)
    logs, mixed, row_sums = pairs.product(columns).tensor_split((p.shape[2], 2 * p.shape[2]), dim=2)
    terms = p * (row_sums * log_p - logs)
    return terms.sum(), terms + row_sums * p - mixed
