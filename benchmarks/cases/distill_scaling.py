"""How an iteration of distillation grows, and the baking before it."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from benchmarks.distillation import mean_iteration
from benchmarks.harness import Sample, timed
from benchmarks.scaling import Curve
from benchmarks.synthetic import Scene, Sizes, make_distiller, make_scene
from ovs3d.distill.params import DistillParams
from ovs3d.features.windows import lattice

_BASE = Sizes(photo=(320, 240), views=4)
_PARAMS = DistillParams.model_validate(
    yaml.safe_load(Path("params.yaml").read_text())["tiny"]["distill"]
)


def setup(change: Callable[[int], dict[str, Any]], value: int) -> Scene:
    """Make a scene of which one size differs from the others' common base."""
    return make_scene(replace(_BASE, **change(value)), _PARAMS)


def iterate(scene: Scene) -> Sample:
    """Bake, then measure the mean iteration of the schedule."""
    distiller = make_distiller(scene, _PARAMS)
    notes = {"first phase s": timed(distiller.step, 15, warmup=2)}
    distiller.start_joint_phase()
    notes["joint phase s"] = timed(distiller.step, 15, warmup=2)
    return Sample(mean_iteration(notes, _PARAMS), notes=notes)


def bake(scene: Scene) -> Sample:
    """Measure the baking."""
    start = time.perf_counter()
    make_distiller(scene, _PARAMS)
    return Sample(time.perf_counter() - start)


def _windows(strides: int) -> int:
    width, height = (side // _BASE.clip_downscale for side in _BASE.photo)
    return sum(lattice(width, height, divisor, strides).count for divisor in (5, 7, 10))


# A denser lattice has as many more windows as its strides squared.
_STRIDES = {_windows(strides): strides for strides in (1, 2, 4)}

_DRIVERS: tuple[tuple[str, tuple[int, ...], Callable[[int], dict[str, Any]], str], ...] = (
    ("labels", (2, 8, 30, 100), lambda n: {"labels": n}, ""),
    (
        "feature dimension",
        (64, 128, 256, 512, 1024),
        lambda n: {"dim": n},
        "what grows is the gathering of pixel features from windows",
    ),
    (
        "nodes along a grid axis",
        (64, 128, 192, 256),
        lambda n: {"grid": n},
        "tables, and with them Adam's update, grow with its square",
    ),
    ("views", (10, 30, 100, 300), lambda n: {"views": n}, ""),
    (
        "windows of a view",
        tuple(_STRIDES),
        lambda n: {"strides_per_window": _STRIDES[n]},
        "",
    ),
)
CURVES = (
    *(
        Curve("distill", driver, values, partial(setup, change), iterate, remark)
        for driver, values, change, remark in _DRIVERS
    ),
    Curve("distill", "views (baking)", (10, 30, 100), partial(setup, lambda n: {"views": n}), bake),
)
