"""The three losses of the method (Sec. 3) on rendered quantities; all are means over rays."""

from torch import Tensor
from torch.nn import functional

from ovs3d.distill.heads import InnerProducts

_TINY = 1e-8
"""Keeps logarithms finite where a probability underflows."""


def color_loss(rendered: Tensor, photo: Tensor) -> Tensor:
    """Return the mean squared error between colours [R, 3] in [0, 1] (first term of Eq. 3)."""
    return functional.mse_loss(rendered, photo)


def feature_loss(
    products: InnerProducts, rays: Tensor, pixel_features: Tensor, selection: Tensor
) -> Tensor:
    """Return minus the mean cosine of rendered and selected features (second term of Eq. 3).

    Args:
        products: the CLIP head's inner products.
        rays: [R, features + 1] composited ray features.
        pixel_features: [R, N_s, D] means of the windows over each ray's pixel.
        selection: [R, N_s], rows sum to 1.
    """
    # The selected feature sum_s S_s F_s / |F_s| is needed in inner products only: with the rendered
    # feature, and with itself through the scales' Gram matrix.
    gram = pixel_features @ pixel_features.transpose(1, 2)
    lengths = gram.diagonal(dim1=1, dim2=2).clamp(min=_TINY**2).sqrt()
    weights = selection / lengths
    inner = (pixel_features @ products.decode(rays)[:, :, None]).squeeze(2)
    squared = ((gram @ weights[:, :, None]).squeeze(2) * weights).sum(1)
    cosines = (inner * weights).sum(1) / (products.norms(rays) * squared.clamp(min=1e-12).sqrt())
    return -cosines.mean()


def js_divergence(p: Tensor, q: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence of distributions [..., C] as [...], in nats."""
    mean_log = ((p + q) / 2).clamp(min=_TINY).log()
    p_term = p * (p.clamp(min=_TINY).log() - mean_log)
    q_term = q * (q.clamp(min=_TINY).log() - mean_log)
    return (p_term + q_term).sum(-1) / 2


def rda_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return the Relevancy-Distribution Alignment loss (Eq. 5-8).

    Args:
        logits: [R, C] z, in the units of the softmax.
        target: [R, C] scores of the labels, in the units of the softmax.
    """
    return js_divergence(logits.softmax(-1), target.softmax(-1)).mean()
