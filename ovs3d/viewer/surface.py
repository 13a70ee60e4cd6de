"""What the field shows along rays, and where the surface is that they meet."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ovs3d.distill.model import Segmentation
from ovs3d.field.model import Field
from ovs3d.field.render import RaySamples, composite, march, ray_of_sample, shade

RAYS_PER_CHUNK = 1 << 13
"""Rays that `look` takes at a time at most: a tenth of a second of work."""

_WEIGHT_THRESHOLD = 1e-3
_THICKNESS = 0.02
"""How far from the median depth a sample may be to belong to the same surface, relative to it."""
_TINY = 1e-6


@dataclass(frozen=True, eq=False)
class Source:
    """A field, and what distillation made of it where that has happened.

    Attributes:
        field: the radiance field.
        segmentation: None as long as the scene has no labels.
    """

    field: Field
    segmentation: Segmentation | None

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the C labels; none without a segmentation."""
        return self.segmentation.labels if self.segmentation else ()


@dataclass(frozen=True, eq=False)
class Seen:
    """What R rays see; float32.

    Attributes:
        color: [R, 3] in [0, 1].
        opacity: [R] in [0, 1].
        depth: [R] of the surface that the middle of the ray's weight belongs to, along the
            direction given; 0 where the ray meets nothing.
        solid: [R] in [0, 1], the share of the ray's weight that this surface holds.
        logits: [R, C] cosines of feature and label texts.
    """

    color: Tensor
    opacity: Tensor
    depth: Tensor
    solid: Tensor
    logits: Tensor

    @staticmethod
    def join(parts: "list[Seen]") -> "Seen":
        """Return the rays of all parts, in order; at least one part."""
        names = Seen.__dataclass_fields__
        return Seen(*(torch.cat([getattr(part, name) for part in parts]) for name in names))

    def select(self, rays: Tensor) -> "Seen":
        """Return some rays, given by a mask or by their numbers."""
        return Seen(*(getattr(self, name)[rays] for name in Seen.__dataclass_fields__))


@torch.no_grad()
def look(source: Source, origins: Tensor, directions: Tensor) -> Seen:
    """Follow rays through the field.

    The mean depth of a ray that grazes an edge lies in the air between two surfaces; the one
    returned does not.

    Args:
        source: the field.
        origins: [R, 3], world.
        directions: [R, 3], world, camera-z 1 for depth to be z-depth.
    """
    field, model = source.field, source.segmentation
    samples = march(field, origins, directions, _WEIGHT_THRESHOLD)
    depth, solid = _surface(field, samples, origins, directions)
    if model is None:
        color = shade(field, samples, directions)
        logits = color.new_zeros(len(color), 0)
    else:
        appearance = model.appearance(samples, model.corners(samples))
        color = model.colors(appearance, samples, directions)
        logits = model.products().logits(appearance.rays)
    return Seen(color.clamp(0, 1), samples.opacity, depth, solid, logits)


def _surface(
    field: Field, samples: RaySamples, origins: Tensor, directions: Tensor
) -> tuple[Tensor, Tensor]:
    """Return depth and share of weight of the surface at the median of each ray's weight."""
    weights, offsets = samples.weights, samples.offsets
    rows = ray_of_sample(offsets, len(weights))
    along = field.space.depths(origins[rows], directions[rows], samples.points)
    total = weights.cumsum(0, dtype=torch.float64)
    running = torch.nn.functional.pad(total, (1, 0))
    start, end = running[offsets[:-1]], running[offsets[1:]]
    # The first sample of each ray by which half of its weight is reached.
    middle = torch.searchsorted(total, (start + end) / 2)
    middle = torch.minimum(middle.clamp_min(offsets[:-1]), (offsets[1:] - 1).clamp_min(0))
    hit = offsets.diff() > 0
    median = torch.where(hit, along[middle.clamp_max(max(len(along) - 1, 0))], 0.0)
    near = ((along - median[rows]).abs() <= _THICKNESS * median[rows]).to(weights.dtype)
    sums = composite(torch.stack([along, torch.ones_like(along)], dim=1), weights * near, offsets)
    mass = composite(torch.ones_like(along)[:, None], weights, offsets)[:, 0]
    return sums[:, 0] / sums[:, 1].clamp_min(_TINY), sums[:, 1] / mass.clamp_min(_TINY)
