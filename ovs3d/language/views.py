"""Values of surface points as pictures: rendered through the field, as the points were lifted."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ovs3d.field.march import march
from ovs3d.field.model import Field
from ovs3d.field.render import MIN_OPACITY, shade
from ovs3d.field.samples import composite
from ovs3d.language.surface import LIGHT, Surface
from ovs3d.language.volume import LanguageVolume
from ovs3d.space.cameras import Cameras, pixel_centres

_TINY = 1e-6
"""Least sum of weights to divide by."""


@dataclass(frozen=True, eq=False)
class PointView:
    """One view of h x w pixels, ready to show values of the N points.

    Attributes:
        colour: float32 [h, w, 3] in [0, 1], black where rays meet nothing.
        solid: bool [h, w], where rays end in a surface that has points.
        _rows: int64 [M], the point of each sample of the rays, any where there is none.
        _weights: float32 [M], shares of the points in their pixel; they add up to 1.
        _offsets: int64 [h * w + 1], where the samples of each ray begin.
    """

    colour: Tensor
    solid: Tensor
    _rows: Tensor
    _weights: Tensor
    _offsets: Tensor

    def draw(self, values: Tensor) -> Tensor:
        """Return values [T, N] as pixels [T, h, w] float32, means of the points that each sees.

        Pixels that see none have 0.
        """
        seen = composite(values.T[self._rows].float(), self._weights, self._offsets)
        return seen.T.view(len(values), *self.solid.shape)


@torch.no_grad()
def point_view(
    points: LanguageVolume | Surface, field: Field, cameras: Cameras, view: int, downscale: int
) -> PointView:
    """Find out which points every pixel of a view sees, at photo / downscale.

    Args:
        points: of the field.
        field: on the same device.
        cameras: of the scene.
        view: photo index of a registered view.
        downscale: integer >= 1.

    Raises:
        PosesError: the view has no pose.
    """
    height, width = cameras.height // downscale, cameras.width // downscale
    xy = pixel_centres(cameras.width, cameras.height, downscale).to(field.occupancy.device)
    origins, directions = cameras.rays(view, xy)
    samples = march(field, origins, directions, LIGHT)
    colour = shade(field, samples, directions).clamp(0, 1)
    rows = points.rows(samples.points)
    known = (rows >= 0).float()
    total = composite(known[:, None], samples.weights, samples.offsets)[:, 0]
    share = known * samples.weights / total.clamp_min(_TINY)[samples.rows]
    solid = (samples.opacity >= MIN_OPACITY) & (total > 0)
    return PointView(
        colour.view(height, width, 3),
        solid.view(height, width),
        rows.clamp_min(0),
        share,
        samples.offsets,
    )
