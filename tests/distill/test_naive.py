"""A whole iteration of distillation against the per-sample form with dense tensors."""

from typing import Literal

import pytest
import torch

from benchmarks.distillation import draw, gradients, naive_batch
from benchmarks.naive.distill import naive_terms
from benchmarks.synthetic import Sizes, make_distiller, make_scene
from ovs3d.sections import Shading
from tests.distill.params import distill_params


@pytest.mark.parametrize("phase", ["first", "joint"])
@pytest.mark.parametrize("shading", ["ray", "sample"])
@pytest.mark.parametrize("divergence", ["js", "kl"])
def test_iteration_equals_the_naive_one_in_loss_and_gradient(
    phase: str, shading: Shading, divergence: Literal["js", "kl"]
) -> None:
    sizes = Sizes(photo=(96, 72), views=2, grid=24, shading=shading, labels=4, dim=16, token_dim=8)
    params = distill_params(batch=64)
    params = params.model_copy(
        update={"fda": params.fda.model_copy(update={"divergence": divergence})}
    )
    scene = make_scene(sizes, params)
    distiller = make_distiller(scene, params)
    if phase == "joint":
        distiller.start_joint_phase()
    pixels, patches = draw(scene, params)
    fast = distiller.terms(pixels, patches)
    fast_gradients = gradients(scene.model, fast)
    batch = naive_batch(scene, params, pixels, patches)
    naive = naive_terms(scene.model, params, batch, phase == "joint")
    torch.testing.assert_close(fast, naive, rtol=1e-4, atol=1e-6)
    expected = gradients(scene.model, naive)
    assert {name.split(".")[0] for name in expected} == (
        {"head", "selection", "field"} if phase == "joint" else {"head", "selection"}
    )
    for name, gradient in expected.items():
        scale = gradient.abs().max().item()
        assert scale > 0, name
        torch.testing.assert_close(fast_gradients[name], gradient, rtol=1e-4, atol=1e-4 * scale)
