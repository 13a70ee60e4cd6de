"""The loop of every training: iterations, history, progress, and a state that survives a kill."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from ovs3d.resume import Checkpoint


class Training(Protocol):
    """Something that is trained.

    Attributes:
        log_every: iterations per entry of the history.
        watched: the number of an entry that is shown beside the progress.
        device: where it is trained.
    """

    log_every: int
    watched: str
    device: torch.device

    @property
    def iterations(self) -> int:
        """In all."""
        ...

    def iterate(self, step: int) -> Tensor:
        """Do iteration `step` (from 1); return its terms [T], detached."""
        ...

    def entry(self, means: Sequence[float]) -> Mapping[str, float]:
        """Return what the history says of the means of the terms."""
        ...

    def state(self) -> dict[str, Any]:
        """Return all that the next iterations depend on besides data and parameters."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state."""
        ...


def train(
    training: Training, advance: Callable[..., None], checkpoint: Checkpoint | None = None
) -> list[dict[str, Any]]:
    """Do all iterations, or those that are left after the last checkpoint.

    Args:
        training: before its first iteration.
        advance: of `ovs3d.progress.progress`.
        checkpoint: where a killed training left its state; without one it starts over.

    Returns:
        The history: per `log_every` iterations a dict of `step` and what `Training.entry` says.
    """
    history: list[dict[str, Any]] = []
    saved = checkpoint.load(training.device) if checkpoint else None
    if saved:
        training.restore(saved["training"])
        history = saved["history"]
    done = history[-1]["step"] if history else 0
    advance(done)
    terms: list[Tensor] = []
    for step in range(done + 1, training.iterations + 1):
        terms.append(training.iterate(step))
        if step % training.log_every == 0 or step == training.iterations:
            entry = training.entry(torch.stack(terms).mean(dim=0).tolist())
            history.append({"step": step, **entry})
            advance(len(terms), note=f"{training.watched} {entry[training.watched]:.4g}")
            terms = []
            if checkpoint and checkpoint.due:
                checkpoint.save({"training": training.state(), "history": history})
    return history
