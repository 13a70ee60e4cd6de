"""How fast a device is at the shapes of the presets, what memory it takes, how busy it is."""

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.cases import clip
from benchmarks.distillation import PHASES
from benchmarks.gpu_agreement import Baked, Row, make_pool, moved
from benchmarks.synthetic import Sizes, make_cameras, make_field
from ovs3d.device import make_generator
from ovs3d.features.extract_clip import extract_clip
from ovs3d.reconstruct.params import ReconstructParams
from ovs3d.reconstruct.trainer import Trainer
from ovs3d.space.cameras import pixel_centres

MOST_OVER_ENCODER = 1.15
"""Seconds of an extraction over those of the encoder alone."""
_WARMUP = 3
_GIGABYTE = 1e9


def speed(name: str, work: Callable[[], object], device: torch.device, calls: int) -> list[Row]:
    """Measure repeated work: seconds a call, and on a GPU the largest memory and the busy share.

    Args:
        name: of the work.
        work: queues it; that it be done is waited for after all calls, as a training does.
        device: where it runs.
        calls: that count, after a few that do not.
    """
    for _ in range(_WARMUP):
        work()
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    seconds = _seconds(work, device, calls)
    rows = [Row(f"{name}: seconds", seconds)]
    if on_gpu:
        peak = torch.cuda.max_memory_allocated(device) / _GIGABYTE
        rows.append(Row(f"{name}: peak memory in GB", peak))
        rows.append(Row(f"{name}: share of time that the GPU computes", _busy(work, calls)))
    return rows


def distillation_speed(name: str, baked: Baked, device: torch.device, calls: int) -> list[Row]:
    """Measure iterations of both phases."""
    trainer = baked.distiller(device)
    rows = []
    for phase in PHASES:
        if phase == "joint":
            trainer.start_joint_phase()
        rows += speed(f"distill {name}, {phase} phase", trainer.step, device, calls)
    return rows


def reconstruction_speed(
    name: str, sizes: Sizes, params: ReconstructParams, device: torch.device, calls: int
) -> list[Row]:
    """Measure iterations on a field with surfaces and empty space, as a trained one has."""
    cameras = make_cameras(sizes)
    field = make_field(sizes, cameras, make_generator(0, torch.device("cpu")))
    pool = moved(make_pool(cameras, params.downscale), device)
    trainer = Trainer(pool, field.space, replace_growth(params), 0)
    there = moved(field, device)
    own = {"config": field.config.to_dict(), "field": there.state_dict()}
    trainer.restore({**trainer.state(), **own, "occupancy": there.occupancy})
    steps = count(1)
    return speed(f"reconstruct {name}", lambda: trainer.step(next(steps)), device, calls)


def replace_growth(params: ReconstructParams) -> ReconstructParams:
    """Return a section whose grid stays as it is."""
    return params.model_copy(update={"upsample_at": (), "occupancy_at": ()})


def view_speed(name: str, baked: Baked, device: torch.device, downscale: int) -> list[Row]:
    """Measure a view."""
    cameras = baked.scene.cameras
    rays = cameras.rays(0, pixel_centres(cameras.width, cameras.height, downscale))
    model, there = moved(baked.scene.model, device), moved(rays, device)
    size = f"{cameras.width // downscale} x {cameras.height // downscale}"
    return speed(f"view {name}, {size}", lambda: model.render(*there), device, calls=3)


def extraction_speed(device: torch.device) -> list[Row]:
    """Compare the extraction of two photos of 12 megapixels with ViT-B/16 alone."""
    inputs = clip.paper()
    changes = {"window_divisors": (5.0, 7.0, 10.0), "strides_per_window": 4.0, "batch": 256}
    inputs = replace(inputs, params=inputs.params.model_copy(update=changes))
    with inputs.folder as folder:
        out = Path(folder) / "clip.zarr"
        report = extract_clip(inputs.photos, inputs.params, clip.SEED, device, out)
        bare, _ = clip.bare_seconds(inputs, device)
    windows = report.items * report.views
    return [
        Row("extraction: windows a second", windows / report.seconds, note=report.precision),
        Row("extraction: seconds over the encoder's", report.seconds / bare, MOST_OVER_ENCODER),
    ]


def _seconds(work: Callable[[], object], device: torch.device, calls: int) -> float:
    _settle(device)
    start = time.perf_counter()
    for _ in range(calls):
        work()
    _settle(device)
    return (time.perf_counter() - start) / calls


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _busy(work: Callable[[], object], calls: int) -> float:
    """Return the share of time in which kernels run."""
    with profile(activities=[ProfilerActivity.CUDA]) as record:
        start = time.perf_counter()
        for _ in range(calls):
            work()
        torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    busy: float = sum(event.self_device_time_total for event in record.key_averages()) / 1e6
    return busy / seconds
