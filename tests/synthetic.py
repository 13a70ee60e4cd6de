"""A small textured world with known cameras, photos, masks and depths, drawn by ray casting.

Three turned boxes stand on a floor before a wall; the cameras sweep past them, forward-facing, in
the unit scene (see `ovs3d.space.cameras`). Solid noise gives every surface enough texture for SIFT.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import grid_sample

from ovs3d.space.cameras import Cameras, pixel_centres

LABELS = ("red box", "green box", "blue box", "floor", "wall")
"""In the order of the label indices."""

_COLORS = torch.tensor(
    [[0.9, 0.15, 0.1], [0.15, 0.75, 0.2], [0.15, 0.25, 0.9], [0.75, 0.6, 0.4], [0.7, 0.7, 0.75]]
)
# Centre, half sides and turn about the vertical of each box; y points down, the floor is y = 0.8.
_BOXES = (
    ((-0.75, 0.45, 2.2), (0.30, 0.35, 0.30), 0.5),
    ((0.10, 0.30, 2.6), (0.25, 0.50, 0.25), -0.3),
    ((0.80, 0.50, 2.0), (0.28, 0.30, 0.28), 0.9),
)
_FLOOR_Y = 0.8
_WALL_Z = 3.6
_LOOK_AT = (0.0, 0.1, 2.6)
_SUPERSAMPLE = 3
"""Odd."""
_NOISE_CELLS = 32
# Noise cells per world unit, coarse and fine.
_NOISE_FREQUENCIES = (5.0, 15.0)


@dataclass(frozen=True, eq=False)
class SyntheticScene:
    """Everything that is known about the world.

    Attributes:
        cameras: exact poses of all views.
        photos: uint8 `[V, H, W, 3]`.
        label_maps: uint8 `[V, H, W]`, index into `LABELS`; covers every pixel.
        depths: float32 `[V, H, W]`, along camera z, at pixel centres.
    """

    cameras: Cameras
    photos: Tensor
    label_maps: Tensor
    depths: Tensor


def make_scene(
    views: int = 6,
    width: int = 96,
    height: int = 72,
    seed: int = 0,
    distortion: float = 0.0,
    zoom: float = 0.0,
) -> SyntheticScene:
    """Draw the world; the same arguments give the same bytes.

    Args:
        views: cameras along the sweep.
        width: photo width in pixels.
        height: photo height in pixels.
        seed: of the surface texture.
        distortion: k1 of all cameras.
        zoom: by how much focal lengths differ, as a share; every third camera has the same.
    """
    cameras = _sweep(views, width, height, distortion)
    cameras.intrinsics[:, :2] *= 1 + zoom * (torch.arange(views) % 3 - 1)[:, None]
    noise = torch.rand(
        (1, 3, _NOISE_CELLS, _NOISE_CELLS, _NOISE_CELLS),
        generator=torch.Generator().manual_seed(seed),
    )
    photos, label_maps, depths = [], [], []
    fine = pixel_centres(width * _SUPERSAMPLE, height * _SUPERSAMPLE, 1) / _SUPERSAMPLE
    blocks = (height, _SUPERSAMPLE, width, _SUPERSAMPLE)
    # The middle one of the samples of a pixel lies at its centre.
    middle = np.s_[:, _SUPERSAMPLE // 2, :, _SUPERSAMPLE // 2]
    for view in range(views):
        origins, directions = cameras.rays(view, fine)
        depth, label = cast_rays(origins, directions)
        color = _paint(origins + depth[:, None] * directions, label, noise)
        photos.append(color.reshape(*blocks, 3).mean(dim=(1, 3)))
        depths.append(depth.reshape(blocks)[middle])
        label_maps.append(label.reshape(blocks)[middle])
    return SyntheticScene(
        cameras,
        photos=(torch.stack(photos) * 255).round().to(torch.uint8),
        label_maps=torch.stack(label_maps).to(torch.uint8),
        depths=torch.stack(depths),
    )


def write_scene(scene: SyntheticScene, folder: Path, masked_views: tuple[int, ...] = ()) -> None:
    """Write the world as a user would bring it: `images/`, labels and masks of some views."""
    images = folder / "images"
    images.mkdir(parents=True)
    for name, photo in zip(scene.cameras.names, scene.photos, strict=True):
        Image.fromarray(photo.numpy()).save(images / name)
    segmentations = folder / "segmentations"
    segmentations.mkdir()
    (segmentations / "classes.txt").write_text("\n".join(LABELS) + "\n")
    for view in masked_views:
        write_masks(segmentations / f"{view:02d}", scene.label_maps[view].numpy(), LABELS)


def write_masks(folder: Path, label_map: NDArray[np.uint8], labels: tuple[str, ...]) -> None:
    """Write one mask per label that occurs in a label map."""
    folder.mkdir(parents=True)
    for index, label in enumerate(labels):
        mask = label_map == index
        if mask.any():
            Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"{label}.png")


def pack_masks(label_map: NDArray[np.uint8], count: int = len(LABELS)) -> NDArray[np.uint8]:
    """Return the masks of a label map as `read_masks` does."""
    stack = label_map == np.arange(count)[:, None, None]
    return np.packbits(stack, axis=0, bitorder="little")


def _sweep(views: int, width: int, height: int, distortion: float) -> Cameras:
    angles = np.linspace(0, 2 * np.pi, views, endpoint=False)
    steps = np.linspace(-1, 1, views)
    poses = np.zeros((views, 3, 4))
    for row, (step, angle) in enumerate(zip(steps, angles, strict=True)):
        # A sway in height and depth, so that the path is no line.
        centre = np.array([0.7 * step, 0.25 * np.sin(3 * angle), 0.1 * np.cos(2 * angle)])
        forward = np.array(_LOOK_AT) - centre
        forward /= np.linalg.norm(forward)
        right = np.cross([0.0, 1.0, 0.0], forward)
        right /= np.linalg.norm(right)
        poses[row] = np.stack([right, np.cross(forward, right), forward, centre], axis=1)
    focal = 0.95 * width
    intrinsics = torch.tensor([focal, focal, width / 2, height / 2], dtype=torch.float64)
    return Cameras(
        views=tuple(range(views)),
        names=tuple(f"{view:03d}.png" for view in range(views)),
        width=width,
        height=height,
        intrinsics=intrinsics.repeat(views, 1),
        distortion=torch.tensor([distortion, 0, 0, 0], dtype=torch.float64).repeat(views, 1),
        world_from_camera=torch.from_numpy(poses),
        near=1.0,
        far=5.0,
        points_min=torch.tensor([-3.0, -2.5, 1.2], dtype=torch.float64),
        points_max=torch.tensor([3.0, _FLOOR_Y, _WALL_Z], dtype=torch.float64),
    )


def cast_rays(origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Return depth and label of the first surface on each ray."""
    hits = [_box_depth(origins, directions, *box) for box in _BOXES]
    for axis, position in ((1, _FLOOR_Y), (2, _WALL_Z)):
        depth = (position - origins[:, axis]) / directions[:, axis]
        hits.append(torch.where(depth > 0, depth, torch.inf))
    depth, label = torch.stack(hits).min(dim=0)
    return depth, label


def _box_depth(
    origins: Tensor,
    directions: Tensor,
    centre: tuple[float, ...],
    half: tuple[float, ...],
    turn: float,
) -> Tensor:
    cos, sin = np.cos(turn), np.sin(turn)
    rotation = torch.tensor([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]], dtype=torch.float32)
    start = (origins - torch.tensor(centre)) @ rotation.T
    slope = directions @ rotation.T
    first = (-torch.tensor(half) - start) / slope
    second = (torch.tensor(half) - start) / slope
    enter = torch.minimum(first, second).amax(dim=1)
    leave = torch.maximum(first, second).amin(dim=1)
    return torch.where((enter < leave) & (enter > 0), enter, torch.inf)


def _paint(points: Tensor, label: Tensor, noise: Tensor) -> Tensor:
    color = _COLORS[label]
    for frequency in _NOISE_FREQUENCIES:
        # Another stretch of the noise for every label; mirrored where it ends.
        phase = (points * frequency / _NOISE_CELLS + 0.1 * label[:, None] + 0.5) % 2
        folded = (1 - (phase - 1).abs()) * 2 - 1
        sampled = grid_sample(noise, folded[None, None, None], align_corners=True)
        shade = sampled.reshape(3, -1).T
        # Mostly brightness, a little hue, so that the colours still tell the things apart.
        color = color * (0.3 + 1.2 * (0.8 * shade[:, :1] + 0.2 * shade))
    return color.clamp(0, 1)
