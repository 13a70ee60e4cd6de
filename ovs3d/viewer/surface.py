"""What the field shows along rays, and where the surface is that they meet."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ovs3d.distill.model import Segmentation
from ovs3d.field.march import march
from ovs3d.field.model import Field
from ovs3d.field.render import shade
from ovs3d.field.samples import RaySamples, composite
from ovs3d.language.surface import median_samples

RAYS_PER_CHUNK = 1 << 13
"""Rays that `look` takes at a time at most: a tenth of a second of work."""

_WEIGHT_THRESHOLD = 1e-3
_THICKNESS = 0.02
"""How far from where a ray ends a sample may be to belong to the same surface, relative to it."""
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
        depth: [R] of the surface that the ray ends in, along the direction given; 0 where it ends
            nowhere, see `ovs3d.language.surface.median_samples`.
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
    """Return depth and share of weight of the surface in which each ray ends."""
    rows = samples.rows
    along = field.space.depths(origins[rows], directions[rows], samples.points)
    last, ended = median_samples(samples)
    median = torch.zeros_like(samples.depth)
    median[ended] = along[last[ended]]
    same = ((along - median[rows]).abs() <= _THICKNESS * median[rows]).to(along.dtype)
    columns = torch.stack([along * same, same, torch.ones_like(along)], dim=1)
    depth, near, mass = composite(columns, samples.weights, samples.offsets).unbind(dim=1)
    return depth / near.clamp_min(_TINY), near / mass.clamp_min(_TINY)
