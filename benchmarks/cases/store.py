"""The feature store against dense float32 maps, one 12-megapixel photo at paper settings."""

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.harness import Benchmark, Sample
from benchmarks.naive.windows import dense_map
from benchmarks.stores import window_attributes
from ovs3d.features.clip_params import ClipFeaturesParams
from ovs3d.features.extract_clip import scene_windows
from ovs3d.features.store import FeatureStore
from ovs3d.features.windows import lattice

WIDTH, HEIGHT, DIM = 504, 378, 512
DIVISORS, STRIDES = (5.0, 7.0, 10.0), 4.0
PIXELS = 4096
"""Read back, as one batch of rays does."""


@dataclass(frozen=True)
class Inputs:
    """Embeddings [M, D] of the windows of a photo, and pixels to be read."""

    embeddings: Tensor
    boxes: NDArray[np.int16]
    counts: tuple[int, ...]
    ys: Tensor
    xs: Tensor


def make_inputs() -> Inputs:
    """Random unit vectors, rounded to float16: hardly anything for a compressor."""
    params = ClipFeaturesParams(
        model="ViT-B-16",
        weights="openai",
        downscale=8,
        window_divisors=DIVISORS,
        strides_per_window=STRIDES,
        crop_from="photo",
        turn=0,
        views=1.0,
        batch=256,
    )
    boxes = scene_windows((WIDTH, HEIGHT), params, 0, "0" * 64)
    generator = torch.Generator().manual_seed(0)
    vectors = normalize(torch.randn(len(boxes), DIM, generator=generator), dim=-1)
    ys, xs = (torch.randint(side, (PIXELS,), generator=generator) for side in (HEIGHT, WIDTH))
    counts = tuple(lattice(WIDTH, HEIGHT, divisor, STRIDES).count for divisor in DIVISORS)
    return Inputs(vectors.half(), boxes, counts, ys, xs)


def naive(inputs: Inputs) -> Sample:
    """Average the windows over every pixel, write the maps, read some pixels."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "features.npy"
        start = time.perf_counter()
        parts = zip(
            np.split(inputs.embeddings.numpy(), np.cumsum(inputs.counts)[:-1]),
            np.split(inputs.boxes, np.cumsum(inputs.counts)[:-1]),
            strict=True,
        )
        np.save(file, np.stack([dense_map(*part, WIDTH, HEIGHT, np.float32) for part in parts]))
        pixels = np.load(file, mmap_mode="r")[:, inputs.ys.numpy(), inputs.xs.numpy()]
        seconds = time.perf_counter() - start
        values = {"pixels": torch.from_numpy(pixels).transpose(0, 1)}
        return Sample(seconds, values, {"bytes": float(file.stat().st_size)})


def ours(inputs: Inputs) -> Sample:
    """Write the windows, gather some pixels."""
    attributes = window_attributes((WIDTH, HEIGHT), DIM, DIVISORS, STRIDES, views=1)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "clip.zarr"
        start = time.perf_counter()
        FeatureStore.resume(path, attributes, inputs.boxes[None]).write(0, inputs.embeddings)
        store = FeatureStore.open(path)
        pixels = store.pixels(0, inputs.ys, inputs.xs)
        seconds = time.perf_counter() - start
        size = store.bytes_on_disk()
        same = np.array_equal(store.embeddings(0), inputs.embeddings.numpy())
    dense = len(DIVISORS) * WIDTH * HEIGHT * DIM * 4
    notes = {"bytes": float(size), "dense_over_ours": dense / size, "lossless": float(same)}
    return Sample(seconds, {"pixels": pixels}, notes)


BENCHMARKS = (
    Benchmark(
        name="feature_store",
        shapes=f"one photo, working image {WIDTH} x {HEIGHT}, 3 scales, {DIM} dimensions: write "
        f"the features, read {PIXELS} pixels",
        goal="bytes 300x smaller, lossless at float16",
        setup=make_inputs,
        naive=naive,
        ours=ours,
        repeats=3,
    ),
)
