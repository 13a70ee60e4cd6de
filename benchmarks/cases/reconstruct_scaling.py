"""How the reconstruction grows with the grid and with the number of views."""

from pathlib import Path

import torch

from benchmarks.harness import Sample, timed
from benchmarks.scaling import Curve
from ovs3d.params import load_scene_params
from ovs3d.reconstruct.params import ReconstructParams
from ovs3d.reconstruct.rays import RayPool
from ovs3d.reconstruct.train import fit
from ovs3d.space.space import Space

_PIXELS = 320 * 240
_VIEWS = 25
_ITERATIONS = 10
_SPACE = Space("ndc", (-1.0,) * 3, (1.0, 1.0, 0.8), (2.2, 2.9), (2.0, 1.5, 1.0), 1.0)


def make_pool(views: int) -> RayPool:
    """Draw forward-facing rays of random colours."""
    generator = torch.Generator().manual_seed(0)
    origins = torch.rand(views, 3, generator=generator) * torch.tensor([0.4, 0.4, 0.0])
    plane = torch.rand(views * _PIXELS, 2, generator=generator) - 0.5
    directions = torch.cat([plane, torch.ones(len(plane), 1)], dim=1)
    colors = torch.randint(256, directions.shape, generator=generator, dtype=torch.uint8)
    return RayPool(origins, directions, colors)


def train(pool: RayPool, voxels: int) -> Sample:
    """Measure iterations on a grid of one size, in the fog that a training starts from."""
    tiny = load_scene_params(Path("params.yaml"), "demo").stages.reconstruct
    changes = {"upsample_at": (), "iterations": _ITERATIONS, "voxels_end": voxels}
    params: ReconstructParams = tiny.model_copy(update=changes)
    return Sample(timed(lambda: fit(pool, _SPACE, params, 0), warmup=0) / _ITERATIONS)


CURVES = (
    Curve(
        stage="reconstruct",
        driver="voxels, one iteration",
        values=(64_000, 262_144, 1_000_000, 4_000_000),
        setup=lambda voxels: (make_pool(_VIEWS), voxels),
        work=lambda inputs: train(*inputs),
    ),
    Curve(
        stage="reconstruct",
        driver="views, one iteration",
        values=(10, 30, 100, 300),
        setup=lambda views: views,
        work=lambda views: train(make_pool(views), 262_144),
        remark="memory is the rays, 15 bytes each, and their order, 8 bytes",
    ),
)
