"""FDA loss and gradient alone: pairwise autograd against the fused pass."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.harness import Benchmark, Sample, kept, timed, timed_with_cpu
from benchmarks.naive.fda import naive_fda
from ovs3d.distill.fda import fda_loss
from ovs3d.distill.params import FdaParams

PATCHES, TOKENS, LABELS, DIM = 8, 1024, 7, 768

Inputs = tuple[Tensor, Tensor, FdaParams]
Loss = Callable[[Tensor, Tensor, FdaParams], Tensor]


def make_inputs(divergence: Literal["js", "kl"]) -> Inputs:
    """Draw logits and tokens; a few kinds of tokens, so that pairs lie on both sides of b."""
    generator = torch.Generator().manual_seed(0)
    kinds = torch.randn(LABELS, DIM, generator=generator)
    which = torch.randint(LABELS, (PATCHES, TOKENS), generator=generator)
    noise = torch.randn(PATCHES, TOKENS, DIM, generator=generator)
    tokens = functional.normalize(kinds[which] + 0.5 * noise, dim=-1)
    logits = torch.rand(PATCHES, TOKENS, LABELS, generator=generator) * 0.5
    params = FdaParams(
        positive=200.0,
        negative=0.2,
        temperature=0.2,
        offset=0.7,
        disagreement=None,
        balance=True,
        divergence=divergence,
    )
    return logits, tokens, params


def sample(loss: Loss, inputs: Inputs, calls: int) -> Sample:
    """Measure loss and gradient."""
    logits, tokens, params = inputs
    logits = logits.clone().requires_grad_()

    def work() -> Tensor:
        logits.grad = None
        value = loss(logits, tokens, params)
        value.backward()
        return value.detach()

    seconds, cpu_seconds = timed_with_cpu(work, calls)
    assert logits.grad is not None
    values = {"loss": work(), "gradient": logits.grad}
    return Sample(seconds, values, {"CPU s": cpu_seconds})


def naive(inputs: Inputs) -> Sample:
    """Measure the naive form, and what any form needs: the cosines of all pairs of tokens."""
    found = sample(naive_fda, inputs, calls=3)
    tokens = inputs[1]
    similarities = timed(lambda: torch.bmm(tokens, tokens.transpose(1, 2)), 20)
    return replace(found, notes={**found.notes, "token similarities alone s": similarities})


def benchmark(divergence: Literal["js", "kl"]) -> Benchmark:
    """Return the benchmark of one divergence."""
    return Benchmark(
        name=f"fda_{divergence}",
        shapes=f"{PATCHES} x {TOKENS} tokens of {DIM}, {LABELS} labels, loss and gradient",
        goal="25x, memory 20x smaller",
        setup=lambda: make_inputs(divergence),
        naive=naive,
        ours=lambda inputs: sample(fda_loss, inputs, calls=20),
        repeats=5,
    )


BENCHMARKS = (benchmark("js"), kept(benchmark("js")), benchmark("kl"))
