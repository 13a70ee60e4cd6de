"""The camera of a picture on the screen: a pinhole with square pixels, anywhere in the world."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovs3d.space.cameras import Cameras

_SAME_PLACE = 1e-3
"""World units, and entries of the rotation: what a browser rounds away, and nobody sees."""


@dataclass(frozen=True, eq=False)
class Pinhole:
    """A camera whose principal point is the middle of its picture.

    Attributes:
        width: pixels.
        height: pixels.
        focal: focal length in pixels.
        world_from_camera: float32 [3, 4], axes as in `ovs3d.space.cameras`.
    """

    width: int
    height: int
    focal: float
    world_from_camera: NDArray[np.float32]

    @property
    def fov(self) -> float:
        """Vertical field of view in radians."""
        return 2 * math.atan2(self.height / 2, self.focal)

    def same_place(self, other: "Pinhole") -> bool:
        """Tell whether another camera stands where this one does and looks the same way."""
        return bool(np.allclose(self.world_from_camera, other.world_from_camera, atol=_SAME_PLACE))

    def same_picture(self, other: "Pinhole") -> bool:
        """Tell whether another camera takes the same picture, pixel by pixel."""
        sizes = (self.width, self.height) == (other.width, other.height)
        return sizes and math.isclose(self.focal, other.focal) and self.same_place(other)

    def behind(self, distance: float) -> "Pinhole":
        """Return a camera so far behind this one, in world units, that looks the same way."""
        pose = self.world_from_camera.copy()
        pose[:, 3] -= distance * pose[:, 2]
        return replace(self, world_from_camera=pose)

    def shrunk(self, pixels: float) -> "Pinhole":
        """Return the same view in a picture of about so many pixels at most."""
        scale = min(1.0, math.sqrt(pixels / (self.width * self.height)))
        width, height = (max(1, round(side * scale)) for side in (self.width, self.height))
        return replace(self, width=width, height=height, focal=self.focal * height / self.height)

    def rays(self, first: int = 0, last: int | None = None) -> tuple[Tensor, Tensor]:
        """Return the rays through the centres of the pixels of some rows.

        Args:
            first: row to begin with.
            last: row to end before; the height if None.

        Returns:
            Origins and directions, float32 [R, 3], world, camera-z 1, row by row.
        """
        last = self.height if last is None else last
        x = (np.arange(self.width, dtype=np.float32) + 0.5 - self.width / 2) / self.focal
        y = (np.arange(first, last, dtype=np.float32) + 0.5 - self.height / 2) / self.focal
        plane = np.stack(np.meshgrid(x, y, indexing="xy"), axis=-1).reshape(-1, 2)
        camera = np.concatenate([plane, np.ones_like(plane[:, :1])], axis=1)
        directions = torch.from_numpy(camera @ self.world_from_camera[:, :3].T)
        origins = torch.from_numpy(self.world_from_camera[:, 3].copy())
        return origins.expand_as(directions), directions


def of_photo(cameras: Cameras, view: int, width: int, height: int) -> Pinhole:
    """Return a camera that stands where a photo was taken and sees all of it.

    Args:
        cameras: of the scene.
        view: photo index of a registered view.
        width: of the picture on the screen.
        height: likewise.
    """
    row = cameras.row_of(view)
    # The longer of what the picture must hold decides; the photo's principal point is not its.
    fx, fy, cx, cy = cameras.intrinsics[row].tolist()
    tan_x = max(cx, cameras.width - cx) / fx
    tan_y = max(cy, cameras.height - cy) / fy
    focal = min(width / 2 / tan_x, height / 2 / tan_y)
    pose = cameras.world_from_camera[row].to(torch.float32).cpu().numpy()
    return Pinhole(width, height, focal, pose)
