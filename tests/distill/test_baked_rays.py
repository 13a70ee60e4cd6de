"""What is baked of rays, and what is told about the rest."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from ovs3d.distill.baked_rays import BakedRays, bake_rays
from ovs3d.field.model import Field
from ovs3d.field.samples import composite
from ovs3d.spill import Spill
from tests.field.builders import fog, lump, random_rays

RAYS = 40


class Cameras:
    """Every view has its own random rays."""

    def rays(self, view: int, xy: torch.Tensor) -> Any:
        return random_rays(len(xy), seed=view)


def bake(field: Field, mass_kept: float) -> BakedRays:
    spill = Spill(torch.device("cpu"), math.inf, Path())
    cameras: Any = Cameras()
    return bake_rays(field, cameras, (0, 3), torch.zeros(RAYS, 2), mass_kept, "pixels", spill)


@pytest.mark.parametrize("mass_kept", [0.9, 0.99, 1.0])
@pytest.mark.parametrize("step_voxels", [0.5, 0.01])
def test_every_ray_keeps_its_share_and_the_rest_is_told(
    mass_kept: float, step_voxels: float
) -> None:
    baked = bake(fog(step_voxels=step_voxels), mass_kept)
    samples = baked.samples
    kept = composite(torch.ones_like(samples.weights)[:, None], samples.weights, samples.offsets)
    share = kept[:, 0] / samples.opacity
    assert len(share) == 2 * RAYS
    assert float(share.min()) >= mass_kept - 1e-6
    assert baked.dropped == pytest.approx(1 - float(share.mean()), abs=1e-6)
    # A few coarse samples may all be needed.
    assert (baked.dropped > 1e-3) == (mass_kept < 1) or step_voxels == 0.5


def test_fewer_samples_are_baked_where_less_has_to_be_kept() -> None:
    counts = [len(bake(fog(), mass_kept).samples.weights) for mass_kept in (0.5, 0.9, 1.0)]
    assert 0 < counts[0] < counts[1] < counts[2]


def test_rays_that_meet_nothing_drop_nothing() -> None:
    field = lump()
    field.density.lines[0].data[:, 1] = 0  # the lump is gone
    field.update_occupancy()
    baked = bake(field, 0.9)
    assert len(baked.samples.weights) == 0
    assert baked.dropped == 0.0
