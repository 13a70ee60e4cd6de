"""Feature-Distribution Alignment as Eq. 9-14 state it, differentiated by autograd."""

import torch
from torch import Tensor

from ovs3d.distill.params import FdaParams


def naive_fda(logits: Tensor, tokens: Tensor, params: FdaParams) -> Tensor:
    """Build one tokens x tokens x labels tensor per term.

    Args:
        logits: [P, n, C] cosines z of the token rays of P patches.
        tokens: [P, n, E] DINO tokens, L2-normalised.
        params: weights, offset b, temperature tau, how to average and the divergence.

    Returns:
        The scalar loss.
    """
    log_p = (logits / params.temperature).log_softmax(-1)
    log_i, log_j = log_p[:, :, None], log_p[:, None]
    p_i, p_j = log_i.exp(), log_j.exp()
    if params.divergence == "js":
        log_mixture = ((p_i + p_j) / 2).log()
        pairs = p_i * (log_i - log_mixture) + p_j * (log_j - log_mixture)
        divergence = pairs.sum(-1) / 2
    else:
        divergence = (p_i * (log_i - log_j)).sum(-1)
    shifted = tokens @ tokens.transpose(1, 2) - params.offset
    pos, neg = shifted.clamp(min=0), shifted.clamp(max=0)
    above = torch.count_nonzero(pos).clamp(min=1)
    below = torch.count_nonzero(neg).clamp(min=1)
    if not params.balance:
        above = below = above + below
    similar, dissimilar = (pos * divergence).sum() / above, (neg * divergence).sum() / below
    return params.positive * similar + params.negative * dissimilar
