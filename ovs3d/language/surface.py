"""The surface of a field as points: one for each voxel in which rays of the photos end."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ovs3d.field.march import march
from ovs3d.field.model import Field
from ovs3d.field.render import MIN_OPACITY
from ovs3d.field.samples import RaySamples
from ovs3d.field.voxels import coarsen, voxels
from ovs3d.photos.dataset import Photos, load_photo, load_seen
from ovs3d.space.cameras import Cameras, pixel_centres
from ovs3d.space.space import Grid

LIGHT = 1e-3
"""Samples of a ray that weigh at most this in its pixel are left out."""
_COLUMNS = 10
"""Of the sums of a voxel: grid position, normal, colour, number of rays."""
_FAINT = 1e-3
"""Length of the direction to the camera that is added to each normal, in case there is none."""


@dataclass(frozen=True, eq=False)
class Surface:
    """N voxels that rays end in, and sums over those rays.

    Attributes:
        cells: voxels along each axis of the grid cube.
        voxels: int64 [N], increasing.
        sums: float32 [N, 10], see `_COLUMNS`.
    """

    cells: Grid
    voxels: Tensor
    sums: Tensor

    @property
    def grid_points(self) -> Tensor:
        """Where rays end on average in each voxel, [N, 3], grid coordinates."""
        return self.sums[:, :3] / self.sums[:, -1:]

    @property
    def normals(self) -> Tensor:
        """[N, 3] unit vectors towards the cameras, world."""
        return functional.normalize(self.sums[:, 3:6], dim=1)

    @property
    def colours(self) -> Tensor:
        """uint8 [N, 3]: means of the photos."""
        return (self.sums[:, 6:9] / self.sums[:, -1:]).round().clamp(0, 255).to(torch.uint8)

    def rows(self, grid_points: Tensor) -> Tensor:
        """Return the voxel, counted from 0, of grid points [M, 3] as int64 [M]; -1 if in none."""
        return find_voxels(self.voxels, grid_points, self.cells)


def empty_surface(field: Field) -> Surface:
    """Return the surface of a field that no ray has met yet."""
    device = field.occupancy.device
    none = torch.zeros(0, dtype=torch.int64, device=device)
    return Surface(coarsen(field.config.grid), none, torch.zeros(0, _COLUMNS, device=device))


def see(
    surface: Surface, field: Field, photos: Photos, cameras: Cameras, view: int, downscale: int
) -> Surface:
    """Return a surface with what the rays of one more view meet, where its photo shows it."""
    device = surface.sums.device
    height, width = photos.height // downscale, photos.width // downscale
    xy = pixel_centres(photos.width, photos.height, downscale).to(device)
    origins, directions = cameras.rays(view, xy)
    samples = march(field, origins, directions, LIGHT)
    last, ended = median_samples(samples)
    shown = load_seen(photos.paths[view], downscale)
    if shown is not None:
        ended &= shown.to(device).flatten()
    at = samples.points[last[ended]]
    seen = origins + samples.depth[:, None] * directions
    picture = (height, width)
    normals = _facing(seen.view(*picture, 3), directions.view(*picture, 3), ended.view(*picture))
    colours = load_photo(photos.paths[view], downscale).to(device).flatten(0, 1).float()
    columns = (at, normals.flatten(0, 1)[ended], colours[ended], torch.ones_like(at[:, :1]))
    return _merged(surface.cells, surface, voxels(at, surface.cells), torch.cat(columns, dim=1))


def limited(surface: Surface, most: int) -> Surface:
    """Put voxels together, on a coarser grid, until there are at most so many."""
    cells = surface.cells
    while len(surface.voxels) > most:
        # A surface has as many voxels as the square of the resolution.
        x, y, z = cells
        cells = coarsen(cells, 0.95 * x * y * z * (most / len(surface.voxels)) ** 1.5)
        none = Surface(cells, surface.voxels[:0], surface.sums[:0])
        at = voxels(surface.grid_points, cells)
        surface = _merged(cells, none, at, surface.sums)
    return surface


def find_voxels(known: Tensor, grid_points: Tensor, cells: Grid) -> Tensor:
    """Return the places int64 [M] of points [M, 3] among known voxels [N]; -1 for those in none."""
    wanted = voxels(grid_points, cells)
    found = torch.searchsorted(known, wanted).clamp_max(len(known) - 1)
    return torch.where(known[found] == wanted, found, -1)


def median_samples(samples: RaySamples) -> tuple[Tensor, Tensor]:
    """Return the sample that each ray ends in, int64 [R], and whether it ends at all, bool [R].

    That is the one at which half of the ray's weight is reached; the mean depth of a ray that
    grazes an edge lies in the air between two things.
    """
    total = functional.pad(samples.weights.double().cumsum(0), (1, 0))
    first, end = total[samples.offsets[:-1]], total[samples.offsets[1:]]
    middle = torch.searchsorted(total, (first + end) / 2) - 1
    index = middle.clamp(samples.offsets[:-1], (samples.offsets[1:] - 1).clamp_min(0))
    kept = samples.offsets.diff() > 0
    return index, kept & (samples.opacity >= MIN_OPACITY)


def _facing(points: Tensor, directions: Tensor, ended: Tensor) -> Tensor:
    """Return normals of a picture of points, from the differences of neighbours.

    Averaged over views, they should count by how well they are seen, so they are longer the more
    they face the camera. At an edge, where neighbours lie far behind each other, they are at right
    angles to the ray and short. Where a neighbour is missing, only the faint direction to the
    camera is left.

    All are [h, w, 3] in the world: where rays end, their directions, and the normals; `ended` is
    bool [h, w].
    """
    layers = torch.cat((points, ended[..., None]), dim=2).permute(2, 0, 1)
    padded = functional.pad(layers[None], (1, 1, 1, 1), mode="replicate")[0]
    left, right = padded[:, 1:-1, :-2], padded[:, 1:-1, 2:]
    upper, lower = padded[:, :-2, 1:-1], padded[:, 2:, 1:-1]
    solid = left[3] * right[3] * upper[3] * lower[3]
    normals = torch.linalg.cross((right - left)[:3], (lower - upper)[:3], dim=0)
    normals = functional.normalize(normals, dim=0).permute(1, 2, 0)
    rays = functional.normalize(directions, dim=2)
    facing = (normals * rays).sum(dim=2, keepdim=True)
    return -(normals * facing * solid[..., None] + _FAINT * rays)


def _merged(cells: Grid, surface: Surface, at: Tensor, sums: Tensor) -> Surface:
    """Add sums [M, 10] of voxels int64 [M] to those of a surface on the same cells."""
    found, rows = torch.unique(torch.cat((surface.voxels, at)), return_inverse=True)
    total = torch.zeros(len(found), _COLUMNS, device=sums.device)
    total.index_add_(0, rows, torch.cat((surface.sums, sums)))
    return Surface(cells, found, total)
