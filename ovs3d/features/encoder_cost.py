"""What an encoder costs: operations and sizes from its shape alone, seconds from a short run."""

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ovs3d.device import autocast, encoder_workers, lowest_precision
from ovs3d.features.weights import read_json

_WEIGHT_SCALE = 0.02
"""Standard deviation of the made-up weights of the timed runs."""
_TIMED_FLOPS = 2e11
"""Of a timed run: a second or so of a CPU's core."""
_TIMED_RUNS = 3
"""The fastest counts: it was disturbed least."""


@dataclass(frozen=True, eq=False)
class EncoderCost:
    """Cost of one input of an image encoder.

    Attributes:
        flops: additions and multiplications, counted apart.
        parameters: number of weights.
        largest: numbers in the largest output of any layer.
        dim: length of an output vector.
    """

    flops: int
    parameters: int
    largest: int
    dim: int


def clip_tower(model: str) -> tuple[nn.Module, int]:
    """Build the image tower of a CLIP on the meta device; return it and the side of its input.

    Raises:
        WeightsError: open_clip knows no such model, or the file describes none.
    """
    from ovs3d.features import clip_models  # takes seconds

    with torch.device("meta"):
        tower = clip_models.image_tower(model)
    return tower, clip_models.image_side(tower)


def dino_network(model: str) -> tuple[nn.Module, int]:
    """Build a ViT of timm on the meta device; return it and the side of its patches."""
    from ovs3d.features import dino  # takes seconds

    with torch.device("meta"):
        if model.endswith(".json"):
            content = read_json(Path(model), "dino_features.model")
            network = dino.create(str(content["model"]), content.get("kwargs", {}), model)
        else:
            dino.pretrained_config(model)
            network = dino.create(model, {}, model)
    return network, dino.patch_side(network, model)


@torch.no_grad()
def encoder_cost(network: nn.Module, height: int, width: int) -> EncoderCost:
    """Count what one input of `height` x `width` pixels costs, without computing anything."""
    sizes: list[int] = []

    def note(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            sizes.append(output.numel())

    network.eval()
    hooks = [module.register_forward_hook(note) for module in network.modules()]
    with FlopCounterMode(display=False) as counter:
        output = network(torch.empty(1, 3, height, width, device="meta"))
    for hook in hooks:
        hook.remove()
    return EncoderCost(
        flops=counter.get_total_flops(),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        largest=max(sizes),
        dim=output.shape[-1],
    )


@torch.no_grad()
def seconds_per_flop(network: nn.Module, side: int, batch: int, device: torch.device) -> float:
    """Time an encoder with made-up weights as the stages run it: workers, batch and precision.

    Args:
        network: on the meta device.
        side: of the square inputs.
        batch: inputs that a worker of the stage gets at a time; fewer are timed of a big network.
        device: where it runs.
    """
    flops = encoder_cost(network, side, side).flops
    batch = max(1, min(batch, int(_TIMED_FLOPS / flops)))
    timed = deepcopy(network).to_empty(device=device)
    for tensor in (*timed.parameters(), *timed.buffers()):
        if tensor.is_floating_point():
            tensor.normal_(0, _WEIGHT_SCALE)
    inputs = torch.rand(batch, 3, side, side, device=device)

    def run(dtype: torch.dtype) -> Tensor:
        with autocast(device, dtype):
            output: Tensor = timed(inputs)
        return output

    precision = lowest_precision(device, run)
    with encoder_workers(device) as workers:
        best = min(seconds_of(lambda: run(precision), device) for _ in range(_TIMED_RUNS))
    return best / (flops * batch * workers)


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Time work on a device, from an empty queue to its end."""
    _synchronize(device)
    start = time.perf_counter()
    work()
    _synchronize(device)
    return time.perf_counter() - start


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
