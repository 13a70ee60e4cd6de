"""The one place that knows about devices: choice, generators, optimisers."""

from collections.abc import Iterable
from typing import Any

import torch

from ovs3d.errors import ParamsError

ADAM_BETAS = (0.9, 0.99)
"""Sec. A.3."""


def resolve_device(name: str) -> torch.device:
    """Turn the `device` parameter into a torch device; `auto` prefers CUDA.

    Raises:
        ParamsError: `cuda` is asked for but this machine has none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ParamsError("device: cuda, but torch finds no CUDA GPU here; use auto or cpu")
    if name == "auto":
        name = "cuda" if available else "cpu"
    return torch.device(name)


def make_generator(seed: int, device: torch.device) -> torch.Generator:
    """Return a random generator on `device`, seeded."""
    return torch.Generator(device=device).manual_seed(seed)


def adam(groups: Iterable[dict[str, Any]]) -> torch.optim.Adam:
    """Return Adam with the paper's betas over parameter groups that carry their own `lr`."""
    return torch.optim.Adam(list(groups), betas=ADAM_BETAS, eps=1e-8, fused=True)
