"""Iterations of distillation from small sizes to the paper's, and the encoder of the naive loop."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import timm
import torch
import yaml
from torch import nn

from benchmarks.distillation import Inputs, naive, ours
from benchmarks.harness import Benchmark, kept
from benchmarks.synthetic import Sizes, make_scene
from ovs3d.distill.params import DistillParams
from ovs3d.features.dino import load_dino
from ovs3d.features.dino_params import DinoFeaturesParams
from ovs3d.reconstruct.params import ReconstructParams

_PATCH = 8
"""Pixels along the side of a token."""
_PRESETS = yaml.safe_load(Path("params.yaml").read_text())

# The naive form is the released one, which takes cosines as they are. Units cost no time.
_AS_RELEASED = {
    "units": "none",
    "relevancy": _PRESETS["paper"]["distill"]["relevancy"],
    "fda": {
        "positive": 10.0,
        "negative": 3.0,
        "temperature": 0.2,
        "offset": 0.7,
        "disagreement": None,
        "balance": True,
        "divergence": "js",
    },
}


@dataclass(frozen=True)
class Setting:
    """What iterations of distillation are measured at.

    Attributes:
        preset: whose section `distill` counts.
        changes: of that section.
        sizes: of the made-up scene.
        encoder: makes the network that the naive form runs in its loop.
    """

    preset: str
    changes: Mapping[str, int]
    sizes: Sizes
    encoder: Callable[[int], nn.Module]

    @property
    def params(self) -> DistillParams:
        """The section with its changes."""
        return DistillParams.model_validate(
            {**_PRESETS[self.preset]["distill"], **_AS_RELEASED, **self.changes}
        )

    @property
    def reconstruct(self) -> ReconstructParams:
        """The preset's section `reconstruct`."""
        return ReconstructParams.model_validate(_PRESETS[self.preset]["reconstruct"])


def small_dino(_: int) -> nn.Module:
    """Load the encoder of the demo."""
    params = DinoFeaturesParams.model_validate(_PRESETS["tiny"]["dino_features"])
    return load_dino(params.model, params.weights, torch.device("cpu")).model


def large_dino(side: int) -> nn.Module:
    """Return the paper's encoder with random weights, for crops of `side` pixels."""
    network: nn.Module = timm.create_model("vit_base_patch8_224", pretrained=False, img_size=side)
    return network.eval()


# Photos of 640 x 480 as in the demo.
TINY = Setting("tiny", {}, Sizes(views=8), small_dino)
# The same photos with the paper's features and encoder, on a coarse grid.
SMALL = Setting(
    "tiny",
    {"patch_tokens": 16},
    Sizes(views=8, grid=64, labels=7, dim=512, token_dim=768),
    large_dino,
)
# Photos of a 12-megapixel camera.
PAPER = Setting(
    "paper",
    {},
    Sizes(
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
    large_dino,
)
# The paper's last grid; rays are fewer, for the naive form has thousands of samples on each.
TRUE_GRID = replace(
    PAPER,
    changes={"batch": 512, "patches": 1, "patch_tokens": 16},
    sizes=replace(PAPER.sizes, views=1, grid=640),
)


def setup(setting: Setting) -> Inputs:
    """Make a scene."""
    params = setting.params
    side = params.patch_tokens * _PATCH
    crops = torch.rand(params.patches, 3, side, side)
    network = setting.encoder(side)

    @torch.no_grad()
    def run() -> None:
        network.forward_features(crops)  # type: ignore[operator]

    return Inputs(make_scene(setting.sizes, params), params, run)


def benchmark(name: str, setting: Setting, goal: str, repeats: int) -> Benchmark:
    """Return the benchmark of a setting."""
    params, sizes = setting.params, setting.sizes
    shapes = (
        f"{params.batch} rays, {params.patches} patches of {params.patch_tokens}^2 tokens "
        f"of {sizes.token_dim}, D {sizes.dim}, {sizes.labels} labels, grid {sizes.grid}^3, "
        f"{sizes.views} views; mean of {params.joint_after} iterations of the first phase and "
        f"{params.iterations - params.joint_after} of the joint one, tokens given"
    )
    form = partial(setup, setting)
    return Benchmark(f"distill_{name}", shapes, goal, form, naive, ours, repeats)


BENCHMARKS = (
    benchmark("tiny", TINY, "15x", 5),
    kept(benchmark("tiny", TINY, "15x", 5)),
    benchmark("small", SMALL, "15x", 5),
    benchmark("paper", PAPER, "25x, memory 8x smaller; 60x with encoder", 1),
    benchmark("paper_640", TRUE_GRID, "none: shows the paper's last grid", 1),
)
