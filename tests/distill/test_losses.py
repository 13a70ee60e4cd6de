"""Supervision and RDA losses against hand-computed values and finite differences."""

import math

import pytest
import torch
from torch.nn import functional

from ovs3d.distill.heads import InnerProducts
from ovs3d.distill.losses import color_loss, feature_loss, js_divergence, rda_loss
from ovs3d.distill.relevancy import normalise_relevancy
from ovs3d.distill.selection import select_scales


def test_color_loss_is_the_mean_over_rays_and_channels() -> None:
    rendered = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    photo = torch.tensor([[0.0, 0.0, 0.6], [1.0, 1.0, 1.0]])
    assert color_loss(rendered, photo).item() == pytest.approx(0.36 / 6)


def test_select_scales_picks_the_chosen_scale() -> None:
    values = torch.arange(12.0).view(2, 3, 2)
    selection = torch.tensor([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]])
    expected = torch.tensor([[2.0, 3.0], [8.0, 9.0]])
    torch.testing.assert_close(select_scales(values, selection), expected)


def test_feature_loss_is_minus_one_for_the_selected_feature() -> None:
    affine = torch.eye(3)
    products = InnerProducts(affine, torch.eye(3))
    rays = torch.tensor([[2.0, 0.0, 0.0]])
    pixel_features = torch.tensor([[[5.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    first = torch.tensor([[1.0, 0.0]])
    second = torch.tensor([[0.0, 1.0]])
    assert feature_loss(products, rays, pixel_features, first).item() == pytest.approx(-1)
    assert feature_loss(products, rays, pixel_features, second).item() == pytest.approx(0)


def test_js_divergence_of_disjoint_distributions_is_ln_two() -> None:
    p = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    q = torch.tensor([[0.0, 1.0], [0.5, 0.5]])
    expected = torch.tensor([math.log(2), 0.0])
    torch.testing.assert_close(js_divergence(p, q), expected, atol=1e-6, rtol=0)


def test_rda_loss_is_zero_where_the_distributions_agree() -> None:
    relevancy = torch.tensor([[[0.2, 0.9], [1.0, 0.0]]])
    selection = torch.tensor([[0.25, 0.75]])
    logits = select_scales(relevancy, selection)
    assert rda_loss(logits, logits + 1).item() == pytest.approx(0, abs=1e-7)
    assert rda_loss(-logits, logits).item() > 0.01


def test_loss_gradients_agree_with_finite_differences() -> None:
    generator = torch.Generator().manual_seed(5)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    affine, rays, scores, logits = draw(6, 4), draw(3, 4), draw(3, 2), draw(3, 5)
    text = functional.normalize(torch.eye(5, 6, dtype=torch.float64), dim=1)
    pixels = torch.randn(3, 2, 6, generator=generator, dtype=torch.float64)
    relevancy = torch.rand(3, 2, 5, generator=generator, dtype=torch.float64)

    def supervision(affine: torch.Tensor, rays: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return feature_loss(InnerProducts(affine, text), rays, pixels, scores.softmax(1))

    assert torch.autograd.gradcheck(supervision, (affine, rays, scores))
    assert torch.autograd.gradcheck(
        lambda z, s: rda_loss(z, select_scales(relevancy, s.softmax(1))), (logits, scores)
    )


def test_normalise_relevancy_stretches_each_map_by_itself() -> None:
    maps = torch.tensor([[[[1.0, 3.0]], [[0.5, 0.5]]], [[[-1.0, 1.0]], [[0.2, 0.1]]]])
    expected = torch.tensor([[[[0.0, 1.0]], [[0.0, 0.0]]], [[[0.0, 1.0]], [[1.0, 0.0]]]])
    torch.testing.assert_close(normalise_relevancy(maps), expected)
