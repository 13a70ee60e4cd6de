"""How finding the poses grows with the number of photos."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from benchmarks.harness import Sample, timed
from benchmarks.scaling import Curve
from ovs3d.device import resolve_device
from ovs3d.params import load_scene_params
from ovs3d.photos.dataset import Photos
from ovs3d.poses.sfm import reconstruct_poses

_SIZE = (320, 240)
_STEP = 96.0
"""How far the camera moves between two photos, in pixels of a picture at depth 1."""
_DEPTHS = (6.0, 4.0, 3.0, 2.0)
"""Of upright pictures one behind the other; all but the first have holes."""
_COARSE, _HOLE = 4, 40
"""Pixels of a spot and of a hole."""

Inputs = tuple[Photos, TemporaryDirectory[str]]


def make_photos(count: int) -> Inputs:
    """Photograph pictures at several depths while walking past them; the folder goes with them."""
    folder = TemporaryDirectory()
    generator = np.random.default_rng(0)
    layers = [_layer(generator, count, depth) for depth in _DEPTHS]
    paths = tuple(Path(folder.name) / f"{number:03d}.png" for number in range(count))
    for number, path in enumerate(paths):
        photo = Image.new("RGB", _SIZE)
        for depth, layer in zip(_DEPTHS, layers, strict=True):
            # A bow, so that the walk is not straight.
            up = 10 * np.sin(number / 4)
            shift = (1, 0, number * _STEP / depth, 0, 1, 20 + up / depth)
            seen = layer.transform(_SIZE, Image.Transform.AFFINE, shift, Image.Resampling.BICUBIC)
            photo.paste(seen, mask=seen.getchannel("A"))
        photo.save(path)
    return Photos(paths, *_SIZE), folder


def find(inputs: Inputs) -> Sample:
    """Measure stage poses with the preset `tiny`."""
    photos, folder = inputs
    params = load_scene_params(Path("params.yaml"), "demo").stages.poses
    out, device = Path(folder.name) / "poses", resolve_device("auto")
    return Sample(timed(lambda: reconstruct_poses(photos, params, 0, out, device), warmup=0))


def _layer(generator: np.random.Generator, count: int, depth: float) -> Image.Image:
    """Draw spots of all sizes, with holes unless it is the farthest."""
    width, height = round(_SIZE[0] + count * _STEP / depth) + 8, _SIZE[1] + 40
    colors = np.zeros((height, width, 3))
    for scale in (1, 4, 16):
        side = _COARSE * scale
        small = generator.integers(0, 256, (-(-height // side), -(-width // side), 3), np.uint8)
        spots = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
        colors += np.asarray(spots) / 3
    there = np.full((height, width), 255, np.uint8)
    if depth != max(_DEPTHS):
        open_ = generator.random((-(-height // _HOLE), -(-width // _HOLE))) < 0.75
        there[np.kron(open_, np.ones((_HOLE, _HOLE), bool))[:height, :width]] = 0
    return Image.fromarray(np.dstack([colors.astype(np.uint8), there]))


CURVES = (
    Curve(
        "poses",
        "photos",
        (10, 30, 100, 300),
        make_photos,
        find,
        "matched are all pairs up to 40 photos, at most 20 a photo beyond; placing the cameras "
        "grows faster, for every bundle adjustment holds all of them",
    ),
)
