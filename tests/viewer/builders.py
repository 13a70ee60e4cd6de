"""A scene for the viewer: two balls side by side, `left` and `right`, seen by six cameras."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ovs3d.distill.heads import ClipHead
from ovs3d.distill.model import Segmentation, save_segmentation
from ovs3d.errors import QueryError
from ovs3d.field.checkpoint import save_field
from ovs3d.field.model import Field
from ovs3d.language.volume import Finding
from ovs3d.space.cameras import Cameras, save_cameras
from ovs3d.space.space import Space
from ovs3d.viewer.camera import Pinhole
from ovs3d.viewer.scene import OpenScene
from ovs3d.viewer.surface import Source
from tests.field.builders import balls
from tests.synthetic import make_scene

NAME = "demo"
LABELS = ("left", "right")
CENTRES = ((-0.6, 0.0, 2.5), (0.6, 0.0, 2.5))
RADIUS = 0.4
_SPACE = Space("bounded", (-1.5, -1.0, 1.5), (1.5, 1.0, 3.5), (1.0, 1.0), (3.0, 2.0, 2.0), 0.0)
_GRID = (72, 48, 48)
MOST_CHARACTERS = 200


world = cache(make_scene)


def cameras() -> Cameras:
    """Return the cameras of the synthetic world, 96 x 72."""
    return world().cameras


@cache
def two_balls() -> Source:
    """Return a field with both balls, and labels that are right everywhere.

    Appearance is e0 where x < 0 and e1 elsewhere; so are features and texts.
    """
    field = balls(_SPACE, _GRID, (*CENTRES[0], RADIUS), (*CENTRES[1], RADIUS))
    with torch.no_grad():
        for table in (*field.appearance.planes, *field.appearance.lines, field.basis.weight):
            table.zero_()
        middle = _GRID[0] // 2
        field.appearance.planes[0][:middle, :, 0] = 1
        field.appearance.planes[0][middle:, :, 1] = 1
        field.appearance.lines[0].fill_(1)
        field.basis.weight[0, 0] = field.basis.weight[1, 1] = 1
    field.update_occupancy()
    return Source(field, _segmentation(field))


def _segmentation(field: Field) -> Segmentation:
    head = ClipHead(field.config.appearance_dim, 2, 2, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for layer in head.layers:
            layer.weight.copy_(torch.eye(*layer.weight.shape))
            layer.bias.zero_()
    return Segmentation(field, head, None, LABELS, torch.eye(2), torch.zeros(2), torch.ones(1))


def write_scene(parts: Sequence[str]) -> None:
    """Write parts of the scene into the project that is the current folder."""
    source = two_balls()
    if "poses" in parts:
        save_cameras(cameras(), Path("data/poses") / NAME / "cameras.json")
    if "images" in parts:
        folder = Path("data/raw") / NAME / "images"
        folder.mkdir(parents=True)
        for name, photo in zip(cameras().names, world().photos.numpy(), strict=True):
            Image.fromarray(photo).save(folder / name)
    if "reconstruct" in parts:
        save_field(Path("data/reconstruct") / NAME / "field.safetensors", source.field)
    if "distill" in parts:
        assert source.segmentation
        path = Path("data/distill") / NAME / "segmentation.safetensors"
        save_segmentation(path, source.segmentation)


@dataclass
class Volume:
    """A language volume of two points, one for each half of space."""

    asked: list[tuple[list[str], list[str]]]

    def rows(self, grid_points: Tensor) -> Tensor:
        """Return 0 on the left and 1 on the right."""
        return (grid_points[:, 0] > 0).long()

    def find(self, texts: list[str], negatives: list[str]) -> list[Finding]:
        """Find `left` on the left, and nothing else anywhere."""
        self.asked.append((texts, negatives))
        if len(texts[0]) > MOST_CHARACTERS:
            raise QueryError(f"'{texts[0]}' is too long for the text tower")
        relevancy = torch.tensor([0.9 if texts == ["left"] else 0.2, 0.1])
        mask, peak = relevancy >= 0.5, torch.tensor(CENTRES[0])
        score, known = float(relevancy[0]), texts != ["xyzzy"]
        return [Finding(texts[0], bool(mask[0]), known, score, peak, mask, relevancy)]


def front(width: int = 120, height: int = 80) -> Pinhole:
    """Return a camera at the origin that looks along z and sees both balls."""
    pose = np.concatenate([np.eye(3), np.zeros((3, 1))], axis=1).astype(np.float32)
    return Pinhole(width, height, width * 0.9, pose)


def pixel_of(point: Sequence[float], camera: Pinhole) -> tuple[int, int]:
    """Return row and column of a point for a camera as `front` makes it."""
    x, y, z = point
    column = x / z * camera.focal + camera.width / 2
    return int(y / z * camera.focal + camera.height / 2), int(column)


def give_volume(scene: OpenScene) -> Volume:
    """Give a scene a language volume, as its preparation would."""
    volume = Volume([])
    scene.volume = volume  # type: ignore[assignment]
    scene._show(scene.surface.splats)
    return volume
