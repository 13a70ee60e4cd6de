"""Iterations of distillation at the sizes of both presets, and the encoder in the naive loop."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import timm
import torch
import yaml
from torch import nn

from benchmarks.distillation import Inputs, naive, ours
from benchmarks.harness import Benchmark
from benchmarks.synthetic import Sizes, make_scene
from ovs3d.features.dino import load_dino
from ovs3d.params import DinoFeaturesParams, DistillParams

# Photos of 640 x 480 as in the demo; those of a 12-megapixel camera.
SIZES = {
    "tiny": Sizes(views=8),
    "paper": Sizes(
        photo=(4032, 3024),
        grid=128,
        step_voxels=0.5,
        shading="sample",
        labels=7,
        dim=512,
        token_dim=768,
        token_pixels=40,
        clip_downscale=8,
    ),
}
_PATCH = 8
"""Pixels along the side of a token."""
_PRESETS = yaml.safe_load(Path("params.yaml").read_text())


def small_dino() -> nn.Module:
    """Load the encoder of the demo."""
    params = DinoFeaturesParams.model_validate(_PRESETS["tiny"]["dino_features"])
    return load_dino(params.model, params.weights, torch.device("cpu")).model


def large_dino() -> nn.Module:
    """Return the paper's encoder with random weights, for 256-pixel crops."""
    network: nn.Module = timm.create_model("vit_base_patch8_224", pretrained=False, img_size=256)
    return network.eval()


def setup(preset: Literal["tiny", "paper"], encoder: Callable[[], nn.Module]) -> Inputs:
    """Make a scene at the sizes of a preset."""
    params = DistillParams.model_validate(_PRESETS[preset]["distill"])
    side = params.patch_tokens * _PATCH
    crops = torch.rand(params.patches, 3, side, side)
    network = encoder()

    @torch.no_grad()
    def run() -> None:
        network.forward_features(crops)  # type: ignore[operator]

    return Inputs(make_scene(SIZES[preset], params), params, run)


def benchmark(
    preset: Literal["tiny", "paper"], encoder: Callable[[], nn.Module], goal: str, repeats: int
) -> Benchmark:
    """Return the benchmark of one preset."""
    params, sizes = _PRESETS[preset]["distill"], SIZES[preset]
    shapes = (
        f"{params['batch']} rays, {params['patches']} patches of {params['patch_tokens']}^2 tokens "
        f"of {sizes.token_dim}, D {sizes.dim}, {sizes.labels} labels, grid {sizes.grid}^3, "
        f"{sizes.views} views; mean of {params['joint_after']} iterations of the first phase and "
        f"{params['iterations'] - params['joint_after']} of the joint one, tokens given"
    )
    name, form = f"distill_{preset}", partial(setup, preset, encoder)
    return Benchmark(name, shapes, goal, form, naive, ours, repeats)


BENCHMARKS = (
    benchmark("tiny", small_dino, "15x", 5),
    benchmark("paper", large_dino, "25x, memory 8x smaller; 60x with encoder", 1),
)
