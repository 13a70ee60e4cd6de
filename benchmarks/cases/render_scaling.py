"""How rendering a segmented view, as stages evaluate and render do, grows with labels and grid."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from benchmarks.harness import Sample, timed
from benchmarks.scaling import Curve
from benchmarks.synthetic import Scene, Sizes, make_scene
from ovs3d.distill.params import DistillParams

_BASE = Sizes(photo=(320, 240), views=1)


def setup(name: str, value: Any) -> Scene:
    """Make a scene of which one size differs from the base."""
    params = yaml.safe_load(Path("params.yaml").read_text())["tiny"]["distill"]
    return make_scene(replace(_BASE, **{name: value}), DistillParams.model_validate(params))


def render(scene: Scene) -> Sample:
    """Measure one view of 80 x 60 rays."""
    rays = scene.cameras.rays(0, scene.xy)
    return Sample(timed(lambda: scene.model.render(*rays), 3))


CURVES = (
    Curve("evaluate", "labels, one view", (2, 8, 30, 100), partial(setup, "labels"), render),
    Curve(
        "evaluate", "nodes along a grid axis", (64, 128, 192, 256), partial(setup, "grid"), render
    ),
)
