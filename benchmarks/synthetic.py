"""A made-up scene for distillation at any size: surfaces in a field, windows, tokens, labels."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ovs3d.device import make_generator
from ovs3d.distill.baked_rays import BakedRays, bake_rays
from ovs3d.distill.calibration import ScoreUnits, neutral_clip_units
from ovs3d.distill.model import Segmentation, new_segmentation
from ovs3d.distill.params import DistillParams
from ovs3d.distill.pixel_bank import PixelBank
from ovs3d.distill.targets import Targets
from ovs3d.distill.token_bank import TokenBank
from ovs3d.distill.train import Distiller
from ovs3d.features.window_features import WindowFeatures
from ovs3d.features.windows import lattice, windows
from ovs3d.field.model import Field, FieldConfig
from ovs3d.sections import Shading
from ovs3d.space.cameras import Cameras, pixel_centres
from ovs3d.space.fit_space import choose_space
from ovs3d.spill import Spill

_EMPTY, _SOLID = -12.0, 17.0
"""Raw densities: nothing, and what makes a surface some eight kept samples deep at one voxel a
step, as in the reconstructed demo."""
# Ends along x, y, z in the grid cube: table, wall and three things on the table.
_BOXES = (
    ((-2.0, 2.0), (0.45, 2.0), (-0.6, 2.0)),
    ((-2.0, 2.0), (-2.0, 2.0), (0.6, 2.0)),
    ((-0.6, -0.2), (0.0, 0.5), (-0.3, 0.1)),
    ((0.0, 0.3), (-0.3, 0.5), (0.0, 0.3)),
    ((0.4, 0.8), (0.1, 0.5), (-0.4, 0.0)),
)


@dataclass(frozen=True)
class Sizes:
    """What the cost of distillation depends on besides its parameters.

    Attributes:
        photo: width and height in pixels.
        views: training views.
        grid: nodes along each axis.
        step_voxels: distance of samples on a ray.
        shading: see `FieldConfig`.
        labels: C.
        dim: CLIP dimension D.
        token_dim: E.
        token_pixels: photo pixels between two tokens.
        clip_downscale: of the working image that windows lie in.
        strides_per_window: more of them, more windows.
    """

    photo: tuple[int, int] = (640, 480)
    views: int = 4
    grid: int = 128
    step_voxels: float = 1.0
    shading: Shading = "ray"
    labels: int = 8
    dim: int = 128
    token_dim: int = 192
    token_pixels: int = 8
    clip_downscale: int = 2
    strides_per_window: int = 4


@dataclass(frozen=True, eq=False)
class Scene:
    """What is known about the made-up scene before distillation.

    Attributes:
        sizes: that it was made with.
        cameras: of the views.
        model: untrained; its field is as stage reconstruct leaves one.
        xy: [pixels, 2] photo coordinates of the pixels of a view.
        token_xy: [tokens, 2] photo coordinates of the tokens of a view.
        pixels: all of a pixel bank but the rays, by name.
        tokens: [V, h, w, E] float16, L2-normalised.
    """

    sizes: Sizes
    cameras: Cameras
    model: Segmentation
    xy: Tensor
    token_xy: Tensor
    pixels: dict[str, Any]
    tokens: Tensor


def make_scene(sizes: Sizes, params: DistillParams) -> Scene:
    """Make up a scene; the same arguments give the same numbers."""
    generator = make_generator(0, torch.device("cpu"))
    cameras = make_cameras(sizes)
    field = make_field(sizes, cameras, generator)
    text = functional.normalize(torch.randn(sizes.labels, sizes.dim, generator=generator), dim=1)
    labels = tuple(f"label {number}" for number in range(sizes.labels))
    model = new_segmentation(field, labels, text, torch.zeros(sizes.dim), 3, params, generator)
    _separate_labels(model)
    xy = pixel_centres(cameras.width, cameras.height, params.downscale)
    return Scene(
        sizes,
        cameras,
        model,
        xy,
        pixel_centres(cameras.width, cameras.height, sizes.token_pixels),
        _pixel_values(sizes, xy, generator),
        _tokens(sizes, generator),
    )


def make_distiller(scene: Scene, params: DistillParams) -> Distiller:
    """Bake a scene and return its distillation, at the start of the first phase."""
    banks = make_banks(scene, params)
    generator = make_generator(1, torch.device("cpu"))
    return Distiller(scene.model, *banks, params, generator, _in_memory())


def make_banks(scene: Scene, params: DistillParams) -> tuple[PixelBank, TokenBank]:
    """Bake a scene."""
    spill = _in_memory()

    def bake(xy: Tensor, what: str) -> BakedRays:
        views = scene.cameras.views
        return bake_rays(scene.model.field, scene.cameras, views, xy, params.mass_kept, what, spill)

    pixels = PixelBank(rays=bake(scene.xy, "pixels"), **scene.pixels)
    return pixels, TokenBank(bake(scene.token_xy, "tokens"), scene.tokens)


def _in_memory() -> Spill:
    return Spill(torch.device("cpu"), math.inf, Path())


def make_cameras(sizes: Sizes) -> Cameras:
    """Place forward-facing cameras side by side."""
    width, height = sizes.photo
    poses = torch.eye(3, 4, dtype=torch.float64).repeat(sizes.views, 1, 1)
    poses[:, 0, 3] = torch.linspace(-0.5, 0.5, sizes.views, dtype=torch.float64)
    intrinsics = torch.tensor([width, width, width / 2, height / 2], dtype=torch.float64)
    return Cameras(
        views=tuple(range(sizes.views)),
        names=tuple(f"{view:03d}.jpg" for view in range(sizes.views)),
        width=width,
        height=height,
        intrinsics=intrinsics.repeat(sizes.views, 1),
        distortion=torch.zeros(sizes.views, 4, dtype=torch.float64),
        world_from_camera=poses,
        near=1.0,
        far=6.0,
        points_min=torch.tensor([-3.0, -2.0, 1.2], dtype=torch.float64),
        points_max=torch.tensor([3.0, 2.0, 5.0], dtype=torch.float64),
    )


def make_field(sizes: Sizes, cameras: Cameras, generator: torch.Generator) -> Field:
    """Return a field with the paper's ranks, noise for appearance and boxes for density."""
    config = FieldConfig(
        space=choose_space(cameras, "auto"),
        grid=(sizes.grid,) * 3,
        density_ranks=(16, 4, 4),
        appearance_ranks=(48, 12, 12),
        appearance_dim=27,
        rgb_hidden=128,
        step_voxels=sizes.step_voxels,
        opacity_threshold=1e-4,
        shading=sizes.shading,
    )
    field = Field(config, generator)
    at = torch.linspace(-1, 1, sizes.grid)
    plane, line = field.density.planes[0], field.density.lines[0]
    solid = _SOLID / sizes.step_voxels
    with torch.no_grad():
        for table in (*field.density.planes, *field.density.lines):
            table.zero_()
        plane[..., 0], line[:, 0] = _EMPTY, 1
        for component, (x, y, z) in enumerate(_BOXES, start=1):
            in_x, in_y, in_z = (((at >= low) & (at <= high)).float() for low, high in (x, y, z))
            plane[..., component] = solid * in_x[:, None] * in_y
            line[:, component] = in_z
    field.update_occupancy()
    return field


def _pixel_values(sizes: Sizes, xy: Tensor, generator: torch.Generator) -> dict[str, Any]:
    features = _windows(sizes, generator)
    cell = (xy / sizes.clip_downscale).long()
    count = sizes.views * len(xy)
    size = (count, features.scales, sizes.labels)
    return {
        "colors": torch.randint(256, (count, 3), generator=generator, dtype=torch.uint8),
        "views": torch.arange(sizes.views),
        "ys": cell[:, 1].clamp(max=features.height - 1),
        "xs": cell[:, 0].clamp(max=features.width - 1),
        "features": features,
        "targets": Targets(
            torch.rand(size, generator=generator).half(),
            ScoreUnits(),
            disagreement=0.0,
        ),
        "units": neutral_clip_units(torch.zeros(sizes.labels, sizes.dim)),
    }


def _windows(sizes: Sizes, generator: torch.Generator) -> WindowFeatures:
    width, height = (side // sizes.clip_downscale for side in sizes.photo)
    scales = [(width, height, divisor, sizes.strides_per_window) for divisor in (5, 7, 10)]
    boxes = torch.stack(
        [
            torch.cat(
                [torch.from_numpy(windows(*s, seed_words=(view, i))) for i, s in enumerate(scales)]
            )
            for view in range(sizes.views)
        ]
    )
    embeddings = torch.randn(*boxes.shape[:2], sizes.dim, generator=generator).half()
    lattices = [lattice(*scale) for scale in scales]
    return WindowFeatures(range(sizes.views), (width, height), lattices, embeddings, boxes)


def _tokens(sizes: Sizes, generator: torch.Generator) -> Tensor:
    """Tokens of a few kinds in squares, so that pairs lie on both sides of the FDA's offset."""
    width, height = (side // sizes.token_pixels for side in sizes.photo)
    kinds = torch.randn(16, sizes.token_dim, generator=generator)
    coarse = torch.randint(16, (sizes.views, -(-height // 8), -(-width // 8)), generator=generator)
    which = coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)[:, :height, :width]
    size = (sizes.views, height, width, sizes.token_dim)
    noisy = kinds[which] + 0.5 * torch.randn(size, generator=generator)
    return functional.normalize(noisy, dim=-1).half()


@torch.no_grad()
def _separate_labels(model: Segmentation) -> None:
    """Scale the untrained appearance up, so that rays differ in label as they do once trained."""
    for line in model.field.appearance.lines:
        line.mul_(10)
    for layer in model.head.layers:
        layer.bias.mul_(0.1)


def steps_per_ray(field: Field) -> int:
    """Return how many samples TensoRF places on every ray."""
    return int(math.dist((0, 0, 0), field.config.grid) / field.config.step_voxels) + 1
