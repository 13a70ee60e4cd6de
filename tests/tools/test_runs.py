from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from tools.models.clip_training import shared_caption_loss
from tools.models.runs import Draw, RunOptions, train


class _Regression:
    """The smallest task: fit a line to random points."""

    def __init__(self) -> None:
        self.state = nn.Linear(2, 1)
        nn.init.zeros_(self.state.weight)
        nn.init.zeros_(self.state.bias)
        self.exported: Tensor | None = None

    def trained(self) -> nn.Module:
        return self.state

    def loss(self, draw: Draw) -> dict[str, Tensor]:
        x = torch.randn(16, 2, generator=draw.torch)
        target = x @ torch.tensor([[2.0], [-1.0]])
        return {"error": (self.state(x) - target).square().mean()}

    def after_step(self, _progress: float, /) -> None: ...

    def validate(self) -> Mapping[str, float]:
        return {}

    def export(self) -> None:
        self.exported = self.state.weight.detach().clone()


def _options(work: Path, steps: int) -> RunOptions:
    return RunOptions(
        work, steps=steps, learning_rate=0.05, weight_decay=0.0, warmup=0, seed=1, check_every=0.0
    )


def test_training_fits(tmp_path: Path) -> None:
    task = _Regression()
    train(task, _options(tmp_path, 150))
    torch.testing.assert_close(task.exported, torch.tensor([[2.0, -1.0]]), atol=0.1, rtol=0)


def test_an_interrupted_run_ends_like_an_unbroken_one(tmp_path: Path) -> None:
    whole, broken = _Regression(), _Regression()
    train(whole, _options(tmp_path / "whole", 20))

    options = _options(tmp_path / "broken", 20)
    stopping = _Regression()
    steps = stopping.loss

    def fail_late(draw: Draw) -> dict[str, Tensor]:
        if draw.step == 12:
            raise KeyboardInterrupt
        return steps(draw)

    stopping.loss = fail_late  # type: ignore[method-assign]
    try:
        train(stopping, options)
    except KeyboardInterrupt:
        train(broken, replace(options, check_every=60.0))
    assert whole.exported is not None
    assert broken.exported is not None
    assert torch.equal(whole.exported, broken.exported)


def test_a_caption_shared_by_two_crops_pulls_both() -> None:
    images = torch.eye(3)
    texts = images[[0, 0, 2]]
    truth = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)
    near = torch.nn.functional.normalize(images + torch.tensor([[0.0, 0, 0], [2, 0, 0], [0, 0, 0]]))
    scale = torch.tensor(10.0)
    apart = shared_caption_loss(images, texts, scale, truth)
    together = shared_caption_loss(near, texts, scale, truth)
    assert together < apart
    torch.testing.assert_close(
        shared_caption_loss(images, images, scale, torch.eye(3, dtype=torch.bool)),
        torch.nn.functional.cross_entropy(10 * images, torch.arange(3)),
    )
