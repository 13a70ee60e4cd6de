"""The fused FDA pass against the pairwise form that autograd differentiates."""

import pytest
import torch
from torch import Tensor

from benchmarks.naive.fda import naive_fda
from ovs3d.distill import fda
from tests.distill.params import fda_params


def make_inputs(dtype: torch.dtype, count: int = 25) -> tuple[Tensor, Tensor]:
    """Return logits and tokens of two patches with so many tokens."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(2, count, 4, generator=generator, dtype=dtype).tanh()
    # Few distinct directions plus noise, so that pairs fall on both sides of the offset.
    kinds = torch.randn(3, 8, generator=generator, dtype=dtype)
    which = torch.randint(3, (2, count), generator=generator)
    tokens = kinds[which] + 0.2 * torch.randn(2, count, 8, generator=generator, dtype=dtype)
    return logits, torch.nn.functional.normalize(tokens, dim=-1)


@pytest.mark.parametrize("divergence", ["js", "kl"])
@pytest.mark.parametrize(
    "weights", [(200.0, 0.2), (1.0, 0.0), (0.0, 1.0)], ids=["both", "similar", "dissimilar"]
)
@pytest.mark.parametrize("count", [25, fda._BLOCK_ROWS, 2 * fda._BLOCK_ROWS + 9])
@pytest.mark.parametrize("balance", [True, False])
def test_fused_fda_equals_pairwise_loss_and_gradient(
    divergence: str, weights: tuple[float, float], count: int, balance: bool
) -> None:
    positive, negative = weights
    params = fda_params(
        positive=positive, negative=negative, balance=balance, divergence=divergence
    )
    logits, tokens = make_inputs(torch.float32, count)
    fast_logits = logits.clone().requires_grad_()
    slow_logits = logits.clone().requires_grad_()
    fast = fda.fda_loss(fast_logits, tokens, params)
    slow = naive_fda(slow_logits, tokens, params)
    fast.backward()
    slow.backward()
    torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-5)
    assert slow_logits.grad is not None
    scale = slow_logits.grad.abs().max().item()
    torch.testing.assert_close(fast_logits.grad, slow_logits.grad, rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize("divergence", ["js", "kl"])
@pytest.mark.parametrize("temperature", [20.0, 1.0, 0.2, 0.05, 0.02])
def test_fused_fda_is_exact_for_flat_and_for_sharp_distributions(
    divergence: str, temperature: float
) -> None:
    params = fda_params(positive=200.0, divergence=divergence, temperature=temperature)
    logits, tokens = make_inputs(torch.float64)
    slow_logits, fast_logits = logits.clone().requires_grad_(), logits.float().requires_grad_()
    slow = naive_fda(slow_logits, tokens, params)
    fast = fda.fda_loss(fast_logits, tokens.float(), params)
    slow.backward()
    fast.backward()
    assert slow_logits.grad is not None
    assert fast_logits.grad is not None
    torch.testing.assert_close(fast.double(), slow, rtol=1e-4, atol=0)
    scale = slow_logits.grad.abs().max().item()
    torch.testing.assert_close(
        fast_logits.grad.double(), slow_logits.grad, rtol=0, atol=1e-4 * scale
    )


@pytest.mark.parametrize("spread", [0.0, 0.1, 1.0, 3.0, 6.0, 10.0, 18.0])
def test_polynomials_leave_out_less_than_float32_rounds(spread: float) -> None:
    log_p = torch.linspace(-spread, 0, 300, dtype=torch.float64)[None, :, None]
    basis, mixing = fda._expand_js(log_p)
    found = basis[0, :, 0] @ mixing[0, 0] @ basis[0, :, 0].T
    p = log_p.exp()[0]
    expected = p * (2 * p / (p + p.T)).log()
    torch.testing.assert_close(found, expected, rtol=0, atol=5e-8)


def test_fda_of_broken_logits_is_nan_instead_of_an_exception() -> None:
    logits, tokens = make_inputs(torch.float32)
    logits[0, 0, 0] = torch.nan
    assert fda.fda_loss(logits, tokens, fda_params(positive=200.0)).isnan()


@pytest.mark.parametrize("divergence", ["js", "kl"])
def test_fda_gradient_agrees_with_finite_differences(divergence: str) -> None:
    logits, tokens = make_inputs(torch.float64)
    params = fda_params(positive=2.0, negative=0.5, divergence=divergence)
    logits = logits[:, :6].requires_grad_()
    assert torch.autograd.gradcheck(lambda z: fda.fda_loss(z, tokens[:, :6], params), (logits,))


def test_fda_of_two_tokens_is_the_hand_computed_value() -> None:
    # Equal tokens (cosine 1), one sure of each label: JS of almost disjoint distributions is ln 2.
    tokens = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    logits = torch.tensor([[[1.0, -1.0], [-1.0, 1.0]]])
    params = fda_params(positive=1.0, negative=0.0, temperature=0.05)
    # Four similar pairs of weight 0.3, two of them with divergence ln 2.
    expected = 0.3 * 2 * torch.log(torch.tensor(2.0)) / 4
    torch.testing.assert_close(fda.fda_loss(logits, tokens, params), expected, rtol=1e-4, atol=0)
