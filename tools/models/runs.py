"""The training loop that both models share: resumable, logged, exporting as it goes."""

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ovs3d.files import atomic_path

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunOptions:
    """How long and how fast to train, and how often to report (seconds)."""

    work: Path
    steps: int
    learning_rate: float
    weight_decay: float
    warmup: int
    seed: int
    log_every: float = 20.0
    check_every: float = 120.0
    export_every: float = 480.0


@dataclass(frozen=True)
class Draw:
    """The random sources of one step.

    They depend on seed and step alone, so that an interrupted run goes on as if it had not been.
    """

    step: int
    numpy: np.random.Generator
    torch: torch.Generator

    @classmethod
    def of(cls, seed: int, step: int) -> "Draw":
        """Return the sources of a step."""
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        return cls(step, np.random.default_rng((seed, step)), generator)


class Task(Protocol):
    """What a model brings to the loop."""

    @property
    def state(self) -> nn.Module:
        """Return the module that holds everything a checkpoint must keep."""

    def trained(self) -> nn.Module:
        """Return the part of `state` that the optimiser changes."""

    def loss(self, draw: Draw) -> dict[str, Tensor]:
        """Return named losses whose sum is minimised."""

    def after_step(self, progress: float, /) -> None:
        """Update what the optimiser does not; progress runs from 0 to 1."""

    def validate(self) -> Mapping[str, float]:
        """Return numbers on held-out pictures for the log."""

    def export(self) -> None:
        """Write the weights as they are used."""


def train(task: Task, options: RunOptions) -> None:
    """Train to the planned number of steps, from the last checkpoint if there is one.

    Args:
        task: the model with its losses.
        options: plan of the run; the checkpoint lies in `options.work`. A finished run only
            exports again.
    """
    checkpoint = options.work / "checkpoint.pt"
    optimizer = _optimizer(task.trained(), options)
    start = _resume(checkpoint, task, optimizer)
    sums: dict[str, float] = {}
    logged_step, now = start, time.monotonic()
    logged = checked = exported = now
    for step in range(start, options.steps):
        for group in optimizer.param_groups:
            group["lr"] = _learning_rate(step, options)
        losses = task.loss(Draw.of(options.seed, step))
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        nn.utils.clip_grad_norm_(task.trained().parameters(), 3.0)
        optimizer.step()
        task.after_step(step / options.steps)
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
        now, done, last = time.monotonic(), step + 1, step + 1 == options.steps
        if last or now - logged > options.log_every:
            _log(done, options.steps, sums, done - logged_step, now - logged)
            sums, logged_step, logged = {}, done, now
        if last or now - checked > options.check_every:
            _save(checkpoint, task, optimizer, done)
            numbers = "  ".join(f"{k} {v:.4f}" for k, v in task.validate().items())
            logger.info("step %d  %s", done, numbers)
            checked = time.monotonic()
        if now - exported > options.export_every:
            task.export()
            exported = now
    task.export()


def _optimizer(module: nn.Module, options: RunOptions) -> torch.optim.Optimizer:
    wanted = [parameter for parameter in module.parameters() if parameter.requires_grad]
    # Gains, biases and the temperature are not pulled to zero.
    groups = [
        {"params": [p for p in wanted if p.ndim >= 2], "weight_decay": options.weight_decay},
        {"params": [p for p in wanted if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=options.learning_rate, betas=(0.9, 0.98))


def _learning_rate(step: int, options: RunOptions) -> float:
    if step < options.warmup:
        return options.learning_rate * (step + 1) / options.warmup
    share = (step - options.warmup) / max(options.steps - options.warmup, 1)
    return options.learning_rate * (0.005 + 0.995 * 0.5 * (1 + math.cos(math.pi * share)))


def _resume(checkpoint: Path, task: Task, optimizer: torch.optim.Optimizer) -> int:
    if not checkpoint.exists():
        return 0
    saved = torch.load(checkpoint, weights_only=True)
    task.state.load_state_dict(saved["state"])
    optimizer.load_state_dict(saved["optimizer"])
    logger.info("going on from step %d", saved["step"])
    return int(saved["step"])


def _save(checkpoint: Path, task: Task, optimizer: torch.optim.Optimizer, step: int) -> None:
    content = {
        "step": step,
        "state": task.state.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    with atomic_path(checkpoint) as temporary:
        torch.save(content, temporary)


def _log(step: int, steps: int, sums: dict[str, float], count: int, seconds: float) -> None:
    means = "  ".join(f"{name} {total / count:.4f}" for name, total in sums.items())
    logger.info("step %d/%d  %s  %.2f steps/s", step, steps, means, count / seconds)
