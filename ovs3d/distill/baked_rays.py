"""Rays whose samples are found once, because density never moves during distillation.

The samples that a ray keeps and their weights are baked for the rays of all training pixels and of
all DINO tokens, so no iteration marches a ray.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from ovs3d.field.march import march
from ovs3d.field.model import Field
from ovs3d.field.samples import RaySamples, total_weights
from ovs3d.progress import progress
from ovs3d.space.cameras import Cameras
from ovs3d.spill import Drawn, Row, Spill


@dataclass(frozen=True, eq=False)
class BakedRays:
    """Rays of V views, P in every view: ray `v * P + p` is the p-th one of the v-th view.

    Attributes:
        samples: those that are kept, of all V * P rays.
        directions: [V * P, 3] world.
        dropped: share in [0, 1] of a ray's weight that is not kept, mean of the rays that have any.
    """

    samples: RaySamples
    directions: Tensor
    dropped: float

    @cached_property
    def _offsets(self) -> Tensor:
        """Of the samples, on the CPU: to count samples there takes no wait for a GPU."""
        return self.samples.offsets.cpu()

    def select(self, rays: Drawn) -> RaySamples:
        """Return the samples of rays that the host knows, without waiting for the device."""
        total = int((self._offsets[rays.here + 1] - self._offsets[rays.here]).sum())
        if self.samples.points.device == rays.there.device:
            return self.samples.select(rays.there, total)
        # In files, which the host reads.
        spilled = replace(self.samples, offsets=self._offsets)
        return spilled.select(rays.here, total).to(rays.there.device)


def bake_rays(
    field: Field,
    cameras: Cameras,
    views: tuple[int, ...],
    xy: Tensor,
    mass_kept: float,
    what: str,
    spill: Spill,
) -> BakedRays:
    """March rays of several views through the frozen density and keep what matters.

    The weights w_i that are kept are not scaled up to make good for those that are dropped: so a
    pixel has the same colour here and in a picture, up to what is dropped. Cosines with its feature
    sum_i w_i F_i do not see its length anyway.

    Args:
        field: the reconstruction.
        cameras: of the scene.
        views: photo indices.
        xy: [P, 2] photo pixel coordinates, the same for every view, on the field's device.
        mass_kept: of each ray the fewest samples are kept that hold this share of its weight.
        what: name of the rays, for the progress bar.
        spill: takes what is baked.
    """
    counts, dropped = [], []

    def bake() -> Iterator[Row]:
        with progress(f"bake {what}", len(views), "views") as advance:
            for view in views:
                origin, direction = cameras.rays(view, xy)
                part = march(field, origin, direction, 0.0, mass_kept)
                counts.append(part.offsets.diff())
                dropped.append(_dropped(part))
                yield part.points, part.weights, part.depth, part.opacity, direction
                advance()

    points, weights, depth, opacity, directions = spill.collect(bake())
    offsets = functional.pad(torch.cat(counts).cumsum(dim=0), (1, 0))
    samples = RaySamples(offsets, points, weights, depth, opacity)
    # Where no ray meets anything there is nothing to take the mean of.
    share = torch.cat(dropped).mean().nan_to_num().item()
    return BakedRays(samples, directions, share)


def _dropped(samples: RaySamples) -> Tensor:
    """Return the share of its weight that each ray lacks, for the rays that have any: [hit]."""
    kept = total_weights(samples.weights, samples.offsets)
    hit = samples.opacity > 0
    return 1 - kept[hit] / samples.opacity[hit]
