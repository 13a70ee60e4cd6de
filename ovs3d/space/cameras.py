"""Cameras of a scene: intrinsics, poses, rays, projection.

Coordinate conventions, stated here once for the whole project:

- World: the unit scene made by stage `poses`. Where all cameras face forward, the average camera
  stands at the origin and looks along +z, +x to its right, +y down; otherwise the point that the
  cameras look at is the origin, +y is down. The nearest content lies at a depth of 1 or more.
- Camera: OpenCV axes, x right, y down, z forward. `world_from_camera` is a 3x4 matrix `[R | t]`
  that takes camera coordinates to world coordinates; `t` is the camera's centre.
- Depth is z in camera coordinates, in world units. Ray directions have camera-z 1, so the point
  at depth d is `origin + d * direction`.
- Photo coordinates are continuous `(x, y)` in pixels of the full photo, (0, 0) at its upper left
  corner; the centre of pixel (column j, row i) is `(j + 0.5, i + 0.5)`.
- A working image is the photo shrunk by an integer `downscale` d with a box filter: its pixel
  (j, i) covers photo pixels `[j d, (j+1) d) x [i d, (i+1) d)`, its size is `W // d x H // d`, and
  its centre lies at `((j + 0.5) d, (i + 0.5) d)` in photo coordinates.
- Views are named by their index in the sorted photos, also where some photo has no pose.
"""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ovs3d.errors import PosesError
from ovs3d.files import write_json
from ovs3d.space.distortion import distort, undistort
from ovs3d.space.normalise import Bounds

_FORMAT = "ovs3d-cameras-2"


@dataclass(frozen=True, eq=False)
class Cameras:
    """Registered cameras of a scene in the conventions of this module; all tensors float64, CPU.

    Attributes:
        views: photo index of each row, increasing.
        names: file name of each row's photo.
        width: photo width in pixels.
        height: photo height in pixels.
        intrinsics: `[V, 4]`, fx, fy, cx, cy in photo pixels.
        distortion: `[V, 4]`, k1, k2, p1, p2 of the OpenCV model.
        world_from_camera: `[V, 3, 4]`.
        near: depth in front of which no view has content, at least 1.
        far: depth behind which no view has content.
        points_min: `[3]`, lower corner of the box of the sparse points, outliers left out.
        points_max: `[3]`, upper corner.
    """

    views: tuple[int, ...]
    names: tuple[str, ...]
    width: int
    height: int
    intrinsics: Tensor
    distortion: Tensor
    world_from_camera: Tensor
    near: float
    far: float
    points_min: Tensor
    points_max: Tensor

    def __len__(self) -> int:
        return len(self.views)

    @cached_property
    def _rows(self) -> dict[int, int]:
        return {view: row for row, view in enumerate(self.views)}

    def row_of(self, view: int) -> int:
        """Return the row of a view.

        Raises:
            PosesError: the view has no pose.
        """
        if view not in self._rows:
            raise PosesError(
                f"view {view} has no camera pose; COLMAP placed views "
                f"{', '.join(str(view) for view in self.views)}"
            )
        return self._rows[view]

    def only(self, views: Collection[int]) -> "Cameras":
        """Return the cameras of some views; near, far and the box of the points stay."""
        rows = [row for row, view in enumerate(self.views) if view in views]
        return replace(
            self,
            views=tuple(self.views[row] for row in rows),
            names=tuple(self.names[row] for row in rows),
            intrinsics=self.intrinsics[rows],
            distortion=self.distortion[rows],
            world_from_camera=self.world_from_camera[rows],
        )

    def within(self, bounds: Bounds) -> "Cameras":
        """Return the cameras with other near, far and box of the points."""
        return replace(
            self,
            near=bounds.near,
            far=bounds.far,
            points_min=torch.from_numpy(bounds.points_min),
            points_max=torch.from_numpy(bounds.points_max),
        )

    def rays(self, view: int, xy: Tensor) -> tuple[Tensor, Tensor]:
        """Return the world rays through points of a photo.

        Args:
            view: photo index.
            xy: `[N, 2]` photo coordinates.

        Returns:
            Origins `[N, 3]` and directions `[N, 3]` (camera-z 1, not normalised), float32, on the
            device of `xy`.
        """
        focal, centre, distortion, pose = self._camera(view, xy.device)
        plane = undistort((xy.to(torch.float64) - centre) / focal, distortion)
        camera = torch.cat([plane, torch.ones_like(plane[:, :1])], dim=1)
        directions = (camera @ pose[:, :3].T).to(torch.float32)
        origins = pose[:, 3].to(torch.float32).expand_as(directions)
        return origins, directions

    def project(self, view: int, points: Tensor) -> tuple[Tensor, Tensor]:
        """Project world points into a photo.

        Args:
            view: photo index.
            points: `[N, 3]`, world.

        Returns:
            Photo coordinates `[N, 2]` and depth `[N]`, in the dtype of `points`, on their device;
            the coordinates mean nothing where the depth is not positive.
        """
        focal, centre, distortion, pose = self._camera(view, points.device)
        camera = (points.to(torch.float64) - pose[:, 3]) @ pose[:, :3]
        depth = camera[:, 2]
        xy = distort(camera[:, :2] / depth[:, None], distortion) * focal + centre
        return xy.to(points.dtype), depth.to(points.dtype)

    def _camera(self, view: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return a view's focal lengths `[2]`, centre `[2]`, distortion `[4]`, pose `[3, 4]`."""
        row = self.row_of(view)
        intrinsics = self.intrinsics[row].to(device)
        return (
            intrinsics[:2],
            intrinsics[2:],
            self.distortion[row].to(device),
            self.world_from_camera[row].to(device),
        )


def pixel_centres(width: int, height: int, downscale: int) -> Tensor:
    """Return where the pixels of a working image have their centres in the photo.

    Args:
        width: of the photo.
        height: of the photo.
        downscale: of the working image.

    Returns:
        float32 `[(height // downscale) * (width // downscale), 2]` photo coordinates, row by row.
    """
    x = (torch.arange(width // downscale, dtype=torch.float32) + 0.5) * downscale
    y = (torch.arange(height // downscale, dtype=torch.float32) + 0.5) * downscale
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 2)


def save_cameras(cameras: Cameras, path: Path) -> None:
    """Write cameras as JSON; every float comes back bit for bit."""
    rows = [
        {
            "view": view,
            "name": name,
            "intrinsics": cameras.intrinsics[row].tolist(),
            "distortion": cameras.distortion[row].tolist(),
            "world_from_camera": cameras.world_from_camera[row].tolist(),
        }
        for row, (view, name) in enumerate(zip(cameras.views, cameras.names, strict=True))
    ]
    content = {
        "format": _FORMAT,
        "width": cameras.width,
        "height": cameras.height,
        "near": cameras.near,
        "far": cameras.far,
        "points_min": cameras.points_min.tolist(),
        "points_max": cameras.points_max.tolist(),
        "cameras": rows,
    }
    write_json(path, {**content, "digest": _digest(content)})


def load_cameras(path: Path) -> Cameras:
    """Read cameras that `save_cameras` wrote.

    Raises:
        PosesError: the file is missing, damaged or something else.
    """
    try:
        content = json.loads(path.read_text())
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']}, expected {_FORMAT}")
        if content.pop("digest") != _digest(content):
            raise ValueError("its content does not match its digest")
        return _from_json(content)
    except FileNotFoundError:
        raise PosesError(f"{path} does not exist; run stage poses first (dvc repro)") from None
    except (KeyError, TypeError, ValueError) as error:
        raise PosesError(
            f"{path} is no camera file of this version ({error}); delete it, then restore it with "
            f"`dvc checkout` or `dvc pull`, or run stage poses again"
        ) from None


def _digest(content: dict[str, Any]) -> str:
    """Return the SHA-256 of a camera file's content, whatever its blanks and order."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _from_json(content: dict[str, Any]) -> Cameras:
    rows = content["cameras"]

    def stack(key: str, *shape: int) -> Tensor:
        values = torch.tensor([row[key] for row in rows], dtype=torch.float64)
        return values.reshape(len(rows), *shape)

    return Cameras(
        views=tuple(int(row["view"]) for row in rows),
        names=tuple(str(row["name"]) for row in rows),
        width=int(content["width"]),
        height=int(content["height"]),
        intrinsics=stack("intrinsics", 4),
        distortion=stack("distortion", 4),
        world_from_camera=stack("world_from_camera", 3, 4),
        near=float(content["near"]),
        far=float(content["far"]),
        points_min=torch.tensor(content["points_min"], dtype=torch.float64).reshape(3),
        points_max=torch.tensor(content["points_max"], dtype=torch.float64).reshape(3),
    )
