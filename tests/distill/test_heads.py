"""The linear head: per-ray decoding and inner products against per-sample evaluation."""

import torch
from torch import Tensor
from torch.nn import functional

from ovs3d.distill.heads import ClipHead, InnerProducts
from ovs3d.field.samples import composite


def make_head() -> ClipHead:
    return ClipHead(features=5, hidden=6, dim=7, generator=torch.Generator().manual_seed(1))


def per_sample(head: ClipHead, features: Tensor) -> Tensor:
    """Run the three layers one after the other, as the naive form does for every sample."""
    for layer in head.layers:
        features = layer(features)
    return features


def test_affine_equals_running_the_layers() -> None:
    head = make_head()
    features = torch.randn(9, 5, generator=torch.Generator().manual_seed(2))
    ones = torch.ones(9, 1)
    fast = torch.cat((features, ones), dim=1) @ head.affine().T
    torch.testing.assert_close(fast, per_sample(head, features))


def test_decoding_a_ray_equals_compositing_decoded_samples() -> None:
    generator = torch.Generator().manual_seed(3)
    head = make_head()
    offsets = torch.tensor([0, 3, 3, 8])
    features = torch.randn(8, 5, generator=generator)
    weights = torch.rand(8, generator=generator)
    naive = composite(per_sample(head, features).detach(), weights, offsets)
    ray = composite(torch.cat((features, torch.ones(8, 1)), dim=1), weights, offsets)
    torch.testing.assert_close(ray @ head.affine().T, naive)


def test_inner_products_equal_those_of_decoded_features() -> None:
    generator = torch.Generator().manual_seed(4)
    affine = make_head().affine()
    text = functional.normalize(torch.randn(3, 7, generator=generator), dim=1)
    rays = torch.randn(10, 6, generator=generator)
    products = InnerProducts(affine, text)
    decoded = rays @ affine.T
    torch.testing.assert_close(products.norms(rays), decoded.norm(dim=1))
    expected = functional.cosine_similarity(decoded[:, None], text[None], dim=2)
    torch.testing.assert_close(products.logits(rays), expected)
    torch.testing.assert_close(products.decode(rays), decoded)
