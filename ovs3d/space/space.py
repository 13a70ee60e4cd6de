"""Where a scene lives: the map from the world to the grid cube [-1, 1]^3.

Three spaces. The first two keep straight lines straight:

- `ndc`, for forward-facing scenes: normalised device coordinates of a reference camera at the
  origin (NeRF, Mildenhall et al. 2020, Appendix C, in OpenCV axes):
  `(2 fx / W * x / z, 2 fy / H * y / z, 1 - 2 n / z)` with near plane n = 1, so that z = n maps to
  -1 and infinity to 1. Voxels are as fine as pixels on every depth.
- `bounded`: a box in the world.
- `contracted`, for everything else: an inner box of the world stays as it is, and all of space
  around it is drawn into a shell about it (`ovs3d.space.contraction`).

The box that the scene fills in these coordinates is stretched to the cube.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ovs3d.device import constant
from ovs3d.space.contraction import contract, expand

NEAR_PLANE = 1.0
"""Near plane of the NDC map; stage poses scales the world so that nothing lies in front of it."""

Triple = tuple[float, float, float]
Grid = tuple[int, int, int]


@dataclass(frozen=True)
class Space:
    """A map between the world and the grid cube.

    Attributes:
        kind: the coordinates that `lower` and `upper` are in.
        lower: lower corner of the cube, in NDC, world or contracted coordinates.
        upper: upper corner.
        slope: 2 fx / W and 2 fy / H of the reference camera; used by `ndc` alone.
        extent: lengths of the cube's sides by which voxels are cubes (NDC: x, y in equal pixels).
        near: rays start no closer to their camera than this depth; unused by `ndc`.
        centre: middle of the inner box, world; used by `contracted` alone.
        radius: half the inner box's sides, which contraction takes as its units; likewise.
    """

    kind: Literal["ndc", "bounded", "contracted"]
    lower: Triple
    upper: Triple
    slope: tuple[float, float]
    extent: Triple
    near: float
    centre: Triple = (0.0, 0.0, 0.0)
    radius: Triple = (1.0, 1.0, 1.0)

    def segments(self, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the part of each ray that lies in the cube; not for `contracted`.

        Args:
            origins: `[R, 3]`, world.
            directions: `[R, 3]`, world; any length.

        Returns:
            First and last point `[R, 3]` in grid coordinates, both in [-1, 1]; equal for a ray
            that misses the cube.
        """
        assert self.kind != "contracted", "rays of a contracted space are no segments"
        if self.kind == "ndc":
            start, end, valid = self._ndc_ends(origins, directions)
        else:
            start = self._from_raw(origins + directions * self.near)
            end = self._from_raw(origins + directions * self._reach(origins, directions))
            valid = torch.ones_like(start[:, 0], dtype=torch.bool)
        return _clip(start, end, valid)

    def from_world(self, points: Tensor) -> Tensor:
        """Map world points `[N, 3]` to grid coordinates; NDC needs z > 0."""
        if self.kind == "ndc":
            points = self._project(points)
        elif self.kind == "contracted":
            centre, radius = constant(self.centre, points), constant(self.radius, points)
            points = contract((points - centre) / radius)
        return self._from_raw(points)

    def to_world(self, points: Tensor) -> Tensor:
        """Map grid coordinates `[N, 3]` to the world."""
        raw = self._to_raw(points)
        if self.kind == "bounded":
            return raw
        if self.kind == "contracted":
            return expand(raw) * constant(self.radius, raw) + constant(self.centre, raw)
        # At the far end of the cube depth may be infinite; keep it finite for later sums.
        z = 2 * NEAR_PLANE / (1 - raw[:, 2]).clamp_min(1e-6)
        slope = constant(self.slope, raw)
        return torch.cat([raw[:, :2] / slope * z[:, None], z[:, None]], dim=1)

    def depths(self, origins: Tensor, directions: Tensor, points: Tensor) -> Tensor:
        """Return how far along their rays points lie.

        Args:
            origins: `[N, 3]`, world.
            directions: `[N, 3]`, world.
            points: `[N, 3]` on these rays, grid coordinates.

        Returns:
            `[N]`, in lengths of `directions`: the z-depth where their camera-z is 1.
        """
        if self.kind == "ndc":
            z = 2 * NEAR_PLANE / (1 - self._to_raw(points, axis=2)).clamp_min(1e-6)
            return (z - origins[:, 2]) / directions[:, 2]
        offsets = self.to_world(points) - origins
        return (offsets * directions).sum(dim=1) / directions.square().sum(dim=1)

    def grid(self, voxels: int) -> Grid:
        """Return the number of nodes per axis (x, y, z) of about `voxels` cubic voxels."""
        size = self.voxel_size(voxels)
        x, y, z = (max(2, round(side / size)) for side in self.extent)
        return x, y, z

    def voxel_size(self, voxels: int) -> float:
        """Return the side of a voxel in the unit of `extent`."""
        x, y, z = self.extent
        return float((x * y * z / voxels) ** (1 / 3))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "Space":
        """Rebuild a space from `to_dict`."""
        plain: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return Space(**plain)

    def _ndc_ends(self, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return grid coordinates of rays at the near plane and at infinity; who faces forward."""
        forward = directions[:, 2]
        valid = forward > 0
        safe = torch.where(valid[:, None], directions, constant([0.0, 0.0, 1.0], directions))
        # A camera that stands behind the near plane's far side starts just in front of itself.
        z = origins[:, 2].add(1e-3).clamp_min(NEAR_PLANE)
        first = origins + safe * ((z - origins[:, 2]) / safe[:, 2])[:, None]
        slope = constant(self.slope, origins)
        vanishing = torch.cat([safe[:, :2] / safe[:, 2:] * slope, torch.ones_like(z)[:, None]], 1)
        return self._from_raw(self._project(first)), self._from_raw(vanishing), valid

    def _project(self, points: Tensor) -> Tensor:
        z = points[:, 2:]
        slope = constant(self.slope, points)
        return torch.cat([points[:, :2] / z * slope, 1 - 2 * NEAR_PLANE / z], dim=1)

    def _reach(self, origins: Tensor, directions: Tensor) -> Tensor:
        """Return a length of each ray that is certain to leave the box, `[R, 1]`."""
        corners = torch.stack([constant(self.lower, origins), constant(self.upper, origins)])
        far = (corners - origins[:, None]).abs().amax(dim=1).norm(dim=1, keepdim=True)
        reach: Tensor = self.near + far / directions.norm(dim=1, keepdim=True)
        return reach

    def _from_raw(self, points: Tensor) -> Tensor:
        lower, upper = constant(self.lower, points), constant(self.upper, points)
        return (points - lower) * (2 / (upper - lower)) - 1

    def _to_raw(self, points: Tensor, axis: int | None = None) -> Tensor:
        lower, upper = constant(self.lower, points), constant(self.upper, points)
        if axis is not None:
            points, lower, upper = points[:, axis], lower[axis], upper[axis]
        return (points + 1) * ((upper - lower) / 2) + lower


def _clip(start: Tensor, end: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Cut segments `[R, 3]` to the cube (slab method)."""
    span = end - start
    # A component that does not move would divide by zero; a tiny one gives the same cuts.
    span = torch.where(span.abs() < 1e-12, torch.full_like(span, 1e-12), span)
    to_low, to_high = (-1 - start) / span, (1 - start) / span
    enter = torch.minimum(to_low, to_high).amax(dim=1).clamp_min(0)
    leave = torch.maximum(to_low, to_high).amin(dim=1).clamp_max(1)
    hit = valid & (leave > enter)
    enter = torch.where(hit, enter, 0.0)[:, None]
    leave = torch.where(hit, leave, 0.0)[:, None]
    first = (start + enter * (end - start)).clamp(-1, 1)
    last = (start + leave * (end - start)).clamp(-1, 1)
    return first, torch.where(hit[:, None], last, first)
