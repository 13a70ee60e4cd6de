"""Distillation of 100 views whose features, tokens and samples exceed the memory they may take.

What exceeds it lies in files. As long as memory is not short the system keeps their pages, and to
read them costs hardly more; so iterations are also measured each with no page kept, which is what
distillation comes to when its files are much larger than memory.
"""

import math
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image
from torch.nn import functional

from benchmarks import page_cache
from benchmarks.distillation import PHASES, figures_of, mean_iteration
from benchmarks.harness import Benchmark, Sample, resident_mb, timed_with_cpu
from benchmarks.stores import CLIP_DOWNSCALE, window_attributes
from benchmarks.synthetic import Sizes, make_cameras, make_field
from ovs3d.device import make_generator
from ovs3d.distill.inputs import DistillInputs
from ovs3d.distill.model import new_segmentation
from ovs3d.distill.params import DistillParams
from ovs3d.distill.pixel_bank import make_pixel_bank
from ovs3d.distill.token_bank import make_token_bank
from ovs3d.distill.train import Distiller
from ovs3d.features.store import FeatureStore
from ovs3d.features.token_store import TokenStore
from ovs3d.features.windows import windows
from ovs3d.field.model import Field
from ovs3d.photos.dataset import Photos
from ovs3d.space.cameras import Cameras
from ovs3d.spill import Spill

SIZES = Sizes(photo=(1600, 1200), views=100, dim=512, token_dim=384, clip_downscale=CLIP_DOWNSCALE)
DOWNSCALE, TOKEN_STEP = 16, 40
BUDGET_GB = 0.13
CALLS = 20
"""Iterations of a phase, of which the median counts."""
_CPU = torch.device("cpu")
_DIVISORS, _STRIDES = (5, 7, 10), 4


@dataclass(frozen=True, eq=False)
class Inputs:
    """What both forms get; each writes the stores itself, before its clock starts."""

    params: DistillParams
    field: Field
    cameras: Cameras


def setup() -> Inputs:
    """Make up field and cameras."""
    document = yaml.safe_load(Path("params.yaml").read_text())
    params = DistillParams.model_validate(document["tiny"]["distill"] | {"downscale": DOWNSCALE})
    cameras = make_cameras(SIZES)
    return Inputs(params, make_field(SIZES, cameras, make_generator(0, _CPU)), cameras)


def work(gigabytes: float, inputs: Inputs) -> Sample:
    """Measure iterations of both phases with so much memory for what they read."""
    params, views = inputs.params, tuple(range(SIZES.views))
    generator = make_generator(1, _CPU)
    text = functional.normalize(torch.randn(SIZES.labels, SIZES.dim, generator=generator), dim=1)
    labels = tuple(f"label {number}" for number in range(SIZES.labels))
    notes: dict[str, float] = {}
    with _scene(inputs, labels, text, gigabytes) as (scene, scratch):
        pixels = make_pixel_bank(inputs.field, scene, views, params)
        center, scales = pixels.units.text_center, len(_DIVISORS)
        model = new_segmentation(inputs.field, labels, text, center, scales, params, generator)
        tokens = make_token_bank(inputs.field, scene, views, params.mass_kept)
        distiller = Distiller(model, pixels, tokens, params, generator, scene.spill)
        for phase in PHASES:
            if phase == "joint":
                distiller.start_joint_phase()
            notes |= figures_of(phase, *timed_with_cpu(distiller.step, CALLS, warmup=2))
            if page_cache.AVAILABLE:
                notes |= _without_pages(distiller, scratch, phase)
                page_cache.fill(scratch)
        terms = distiller.terms(*distiller.draw()).detach()
        notes["stores MB"] = (scene.clip.bytes_on_disk() + scene.dino.bytes_on_disk()) / 1e6
        # The rest the system can drop and read again from a file.
        notes["memory that is no copy of a file MB"] = resident_mb("RssAnon")
    return Sample(mean_iteration(notes, params), {"terms": terms}, notes)


def _without_pages(distiller: Distiller, scratch: Path, phase: str) -> dict[str, float]:
    """Return the median seconds of iterations that find nothing in memory, and what they read."""
    seconds, megabytes = [], []
    for _ in range(CALLS):
        page_cache.drop(scratch)
        before, start = page_cache.megabytes_read(), time.perf_counter()
        distiller.step()
        seconds.append(time.perf_counter() - start)
        megabytes.append(page_cache.megabytes_read() - before)
    return {
        f"{phase} phase with no page kept s": statistics.median(seconds),
        f"{phase} phase with no page kept MB read": statistics.median(megabytes),
    }


@contextmanager
def _scene(
    inputs: Inputs, labels: tuple[str, ...], text: torch.Tensor, gigabytes: float
) -> Iterator[tuple[DistillInputs, Path]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Image.new("RGB", SIZES.photo, (120, 90, 60)).save(folder / "photo.jpg")
        scratch = folder / "scratch"
        scene = DistillInputs(
            photos=Photos((folder / "photo.jpg",) * SIZES.views, *SIZES.photo),
            cameras=inputs.cameras,
            train_views=tuple(range(SIZES.views)),
            clip=_write_windows(folder / "clip.zarr"),
            dino=_write_tokens(folder / "dino.zarr"),
            labels=labels,
            text=text,
            spill=Spill(_CPU, gigabytes, scratch),
        )
        yield scene, scratch


def _write_windows(path: Path) -> FeatureStore:
    width, height = (side // SIZES.clip_downscale for side in SIZES.photo)
    boxes = np.stack(
        [
            np.concatenate([windows(width, height, d, _STRIDES, (view, d)) for d in _DIVISORS])
            for view in range(SIZES.views)
        ]
    )
    attributes = window_attributes(
        (width, height), SIZES.dim, _DIVISORS, _STRIDES, views=SIZES.views
    )
    store = FeatureStore.resume(path, attributes, boxes)
    for view in range(SIZES.views):
        store.write(view, _noise(view, boxes.shape[1], SIZES.dim))
    return store


def _write_tokens(path: Path) -> TokenStore:
    width, height = (side // TOKEN_STEP for side in SIZES.photo)
    attributes = {
        "encoder_digest": "",
        "dim": SIZES.token_dim,
        "grid": (height, width),
        "patch": 8,
        "downscale": TOKEN_STEP / 8,
        "views": tuple(range(SIZES.views)),
        "photos": {},
    }
    store = TokenStore.resume(path, attributes)
    for view in range(SIZES.views):
        store.write(view, _noise(view, height, width, SIZES.token_dim))
    return store


def _noise(seed: int, *shape: int) -> torch.Tensor:
    return functional.normalize(torch.randn(*shape, generator=make_generator(seed, _CPU)), dim=-1)


BENCHMARKS = (
    Benchmark(
        name="memory_budget",
        shapes=f"{SIZES.views} views, D {SIZES.dim}, tokens of {SIZES.token_dim}; naive: all in "
        f"memory, ours: {BUDGET_GB} GB of it",
        goal="as few seconds more as possible",
        setup=setup,
        naive=partial(work, math.inf),
        ours=partial(work, BUDGET_GB),
        repeats=3,
    ),
)
