"""Pictures of the viewer: the z-buffer, and how long its user waits."""

import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.harness import Benchmark, Sample, timed, timed_with_cpu
from benchmarks.naive.splats import z_buffer
from ovs3d.viewer.camera import Pinhole, of_photo
from ovs3d.viewer.outputs import best_picture
from ovs3d.viewer.paint import Look
from ovs3d.viewer.pictures import draw, splat_picture
from ovs3d.viewer.raster import NOTHING
from ovs3d.viewer.scene import OpenScene
from ovs3d.viewer.session import Session

SCENE, WIDTH, HEIGHT = "demo", 960, 540
_CALLS = 15
# What `ovs3d view` does, in a process of its own, until it has its first picture; no splats kept.
_FIRST_PICTURE = """
import tempfile
from pathlib import Path
from ovs3d.viewer import scene, server, session, camera
scene.view_folder = lambda name: Path(tempfile.mkdtemp())
opened = scene.OpenScene("demo")
view = opened.cameras.views[0]
session.Session(opened).picture(camera.of_photo(opened.cameras, view, 960, 540))
"""


@dataclass(frozen=True, eq=False)
class Inputs:
    """The demo scene, ready, and where it is looked at from."""

    scene: OpenScene
    camera: Pinhole


def make_inputs() -> Inputs:
    """Open the demo; its splats are baked if they are not there yet."""
    scene = OpenScene(SCENE)
    scene.prepare().join()
    view = scene.cameras.views[len(scene.cameras) // 2]
    return Inputs(scene, of_photo(scene.cameras, view, WIDTH, HEIGHT))


def naive(inputs: Inputs) -> Sample:
    """Draw the splats by torch's scatter."""
    splats, camera = inputs.scene.surface.splats, inputs.camera
    positions, radii = torch.from_numpy(splats.positions), torch.from_numpy(splats.radii)
    pose = torch.from_numpy(camera.world_from_camera)

    def work() -> torch.Tensor:
        return z_buffer(positions, radii, pose, camera.focal, WIDTH, HEIGHT)

    return Sample(timed(work, _CALLS), {"splats": work().float()})


def ours(inputs: Inputs) -> Sample:
    """Draw them by the compiled loop; measure whole pictures, a text, and a start."""
    surface, camera = inputs.scene.surface, inputs.camera
    seconds = timed(lambda: draw(surface, frozenset(), camera), _CALLS)
    splats = torch.from_numpy(draw(surface, frozenset(), camera).splat.astype(np.float32))
    session = Session(inputs.scene)
    notes = {"splats": float(len(surface.splats))}
    wall, cpu = timed_with_cpu(lambda: session.picture(camera), _CALLS)
    notes |= {"frames per second": 1 / wall, "CPU s per frame": cpu}
    notes["splats to field, dB"] = _agreement(inputs)
    texts = iter(f"red thing {number}" for number in range(_CALLS + 1))

    def ask() -> None:
        session.ask(next(texts))
        session.picture(camera)

    notes["text to picture, s"] = timed(ask, _CALLS)
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", _FIRST_PICTURE], check=True)
    notes["start to first picture, s"] = time.perf_counter() - start
    return Sample(seconds, {"splats": splats}, notes)


def _agreement(inputs: Inputs) -> float:
    """Return the PSNR between both kinds of picture, where there are splats."""
    field = best_picture(inputs.scene, Look(), inputs.camera, lambda _: None)
    some = draw(inputs.scene.surface, frozenset(), inputs.camera).splat != NOTHING
    splats = splat_picture(inputs.scene, Look(), inputs.camera)
    error = (splats[some].astype(np.float64) - field[some]) / 255
    return float(-10 * np.log10(np.square(error).mean()))


BENCHMARKS = (
    Benchmark(
        name="viewer",
        shapes=f"demo scene, pictures of {WIDTH} x {HEIGHT}; the z-buffer of all splats",
        goal="20 frames per second; first picture within 10 s, text to picture within 1 s",
        setup=make_inputs,
        naive=naive,
        ours=ours,
        repeats=3,
    ),
)
