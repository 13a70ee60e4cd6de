"""How the extraction of features grows with views, windows and pixels."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image

from benchmarks.harness import Sample
from benchmarks.scaling import Curve
from ovs3d.device import resolve_device
from ovs3d.features.extract_clip import extract_clip
from ovs3d.features.extract_dino import extract_dino
from ovs3d.features.windows import lattice
from ovs3d.params import load_scene_params
from ovs3d.photos.dataset import Photos, open_photos

_SMALL, _LARGE = (96, 72), (320, 240)
_DIVISORS = (5.0, 7.0, 10.0)

Inputs = tuple[Photos, TemporaryDirectory[str], dict[str, Any]]


def make_photos(count: int, size: tuple[int, int], changes: dict[str, Any]) -> Inputs:
    """Write copies of the demo's first photo; the folder goes with the process."""
    folder = TemporaryDirectory()
    photo = Image.open(open_photos(Path("data/raw/demo/images")).paths[0]).resize(size)
    paths = tuple(Path(folder.name) / f"{number:03d}.png" for number in range(count))
    for path in paths:
        photo.save(path)
    return Photos(paths, *size), folder, changes


def clip(inputs: Inputs) -> Sample:
    """Measure stage clip_features with the demo's model, loading it included."""
    photos, folder, changes = inputs
    params = load_scene_params(Path("params.yaml"), "demo").stages.clip_features
    params = params.model_copy(update={"downscale": 1, **changes})
    out = Path(folder.name) / "clip.zarr"
    return Sample(extract_clip(photos, params, 0, resolve_device("auto"), out).seconds)


def dino(inputs: Inputs) -> Sample:
    """Measure stage dino_features likewise."""
    photos, folder, _ = inputs
    params = load_scene_params(Path("params.yaml"), "demo").stages.dino_features
    out = Path(folder.name) / "dino.zarr"
    return Sample(extract_dino(photos, params, resolve_device("auto"), out).seconds)


def windows_at(strides: int) -> int:
    """Return the windows of a large view at so many strides per window."""
    return sum(lattice(*_LARGE, divisor, strides).count for divisor in _DIVISORS)


_STRIDES = {windows_at(strides): strides for strides in (1, 2, 4, 8)}
_SIZES = {300: (160, 120), 1200: (320, 240), 4800: (640, 480)}
"""Tokens of a photo and its size."""

CURVES = (
    Curve(
        "clip_features",
        "views",
        (10, 30, 100, 300),
        lambda n: make_photos(n, _SMALL, {"window_divisors": (5.0,), "strides_per_window": 2.0}),
        clip,
        "with what loading the model takes",
    ),
    Curve(
        "clip_features",
        "windows of a view",
        tuple(_STRIDES),
        lambda n: make_photos(2, _LARGE, {"strides_per_window": float(_STRIDES[n])}),
        clip,
        "with what loading the model takes",
    ),
    Curve(
        "dino_features",
        "views",
        (10, 30, 100, 300),
        lambda n: make_photos(n, _SMALL, {}),
        dino,
        "with what loading the model takes",
    ),
    Curve(
        "dino_features",
        "tokens of a view",
        tuple(_SIZES),
        lambda n: make_photos(4, _SIZES[n], {}),
        dino,
        "attention looks at all pairs of tokens",
    ),
)
