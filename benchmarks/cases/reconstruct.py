"""Training of the radiance field: how well it shows held-out views after how long.

Both forms fit the demo scene in the same space, on grids of the same sizes and with the same
batches. The published form has TensoRF's model, losses and learning rates on its schedule of 25,000
iterations, cut to `NAIVE_ITERATIONS`: growth, mask and decay come sooner by as much, and nothing
was tuned for a training so short. Ours has the schedule of the preset `tiny`, cut to
`OURS_ITERATIONS` in the same way, so many that both show held-out views equally well.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.harness import Benchmark, Sample
from benchmarks.naive.tensorf import Schedule, Tensorf
from ovs3d.evaluation.quality import psnr
from ovs3d.field.render import render_rays
from ovs3d.params import load_scene_params
from ovs3d.photos.dataset import open_photos
from ovs3d.photos.views import split_views
from ovs3d.reconstruct.params import ReconstructParams
from ovs3d.reconstruct.rays import BatchSampler, RayPool, load_rays
from ovs3d.reconstruct.train import fit
from ovs3d.space.bounds import bounded_by
from ovs3d.space.cameras import load_cameras
from ovs3d.space.fit_space import choose_space
from ovs3d.space.space import Space

NAIVE_ITERATIONS, OURS_ITERATIONS = 400, 240
# Of 25,000 iterations, by the authors' configuration for forward-facing scenes.
_UPSAMPLE_AT, _MASK_AT = (2000, 3000, 4000, 5500), (2500,)
_PUBLISHED_ITERATIONS = 25_000
_RAYS_PER_CHUNK = 2048
_POSES = Path("data/poses/demo")
_SEED = 0


@dataclass(frozen=True, eq=False)
class Inputs:
    """What both forms get: training rays, the rays and colours of held-out views, the space."""

    pool: RayPool
    held_out: list[tuple[Tensor, Tensor, Tensor]]
    space: Space
    params: ReconstructParams


def make_inputs() -> Inputs:
    """Load the demo scene; its cameras come from stage `poses`."""
    scene = load_scene_params(Path("params.yaml"), "demo")
    params = scene.stages.reconstruct
    photos = open_photos(Path("data/raw/demo/images"))
    views = split_views(len(photos), scene.val_views, scene.test_views, "held_out")
    cameras = bounded_by(load_cameras(_POSES / "cameras.json"), _POSES, views.train)
    device = torch.device("cpu")
    pool = load_rays(photos, cameras, views.train, params.downscale, device)
    held_out = []
    for view in views.scored:
        one = load_rays(photos, cameras, (view,), params.downscale, device)
        held_out.append(one.batch(torch.arange(len(one)))[:3])
    return Inputs(pool, held_out, choose_space(cameras.only(views.train), params.space), params)


def schedule(iterations: int, params: ReconstructParams) -> Schedule:
    """Return the published schedule, shortened, on our grids."""
    share = iterations / _PUBLISHED_ITERATIONS
    return Schedule(
        iterations,
        params.voxels_start,
        params.voxels_end,
        tuple(round(at * share) for at in _UPSAMPLE_AT),
        tuple(round(at * share) for at in _MASK_AT),
    )


def naive(inputs: Inputs) -> Sample:
    """Train TensoRF's model on its schedule, cut short."""
    torch.manual_seed(_SEED)
    generator = torch.Generator().manual_seed(_SEED)
    sampler = BatchSampler(len(inputs.pool), inputs.params.batch, generator)
    start = time.perf_counter()
    model = Tensorf(inputs.space, schedule(NAIVE_ITERATIONS, inputs.params))
    for step in range(1, NAIVE_ITERATIONS + 1):
        model.step(step, *inputs.pool.batch(sampler.next())[:3])
    seconds = time.perf_counter() - start
    return Sample(seconds, notes=_notes(inputs, model.render, NAIVE_ITERATIONS))


def ours(inputs: Inputs) -> Sample:
    """Train our field to the same quality, then by the whole preset."""
    seconds, notes = _fit(inputs, shortened(inputs.params, OURS_ITERATIONS))
    whole_seconds, whole = _fit(inputs, inputs.params)
    of_preset = {f"by the preset, {name}": value for name, value in whole.items()}
    return Sample(seconds, notes=notes | {"by the preset, s": whole_seconds} | of_preset)


def shortened(params: ReconstructParams, iterations: int) -> ReconstructParams:
    """Return a section with fewer iterations; what happens on the way comes sooner by as much."""
    share = iterations / params.iterations
    sooner = {
        name: tuple(round(at * share) for at in getattr(params, name))
        for name in ("upsample_at", "occupancy_at")
    }
    return params.model_copy(update={"iterations": iterations, **sooner})


def _fit(inputs: Inputs, params: ReconstructParams) -> tuple[float, dict[str, float]]:
    start = time.perf_counter()
    field, _ = fit(inputs.pool, inputs.space, params, _SEED)
    seconds = time.perf_counter() - start

    def render(origins: Tensor, directions: Tensor) -> Tensor:
        return render_rays(field, origins, directions).color

    return seconds, _notes(inputs, render, params.iterations)


@torch.no_grad()
def _notes(
    inputs: Inputs, render: Callable[[Tensor, Tensor], Tensor], iterations: int
) -> dict[str, float]:
    scores = []
    for origins, directions, target in inputs.held_out:
        parts = (torch.split(side, _RAYS_PER_CHUNK) for side in (origins, directions))
        color = torch.cat([render(*rays) for rays in zip(*parts, strict=True)])
        scores.append(psnr(color, target))
    return {"held-out PSNR in dB": sum(scores) / len(scores), "iterations": iterations}


BENCHMARKS = (
    Benchmark(
        name="reconstruct",
        shapes="demo scene, 25 photos of 320 x 240, batches of 1024 rays, 40^3 to 128^3 voxels",
        goal="3x to equal PSNR within 0.1 dB",
        setup=make_inputs,
        naive=naive,
        ours=ours,
        repeats=1,
    ),
)
