"""Dense features of one view of a 12-megapixel photo: streamed, and as one map in memory."""

import tempfile
from pathlib import Path

import numpy as np
import torch
import zarr

from benchmarks.harness import Benchmark, Sample, timed
from benchmarks.stores import window_attributes
from ovs3d.apps.export_features import export_dense
from ovs3d.features.store import FeatureStore
from ovs3d.features.windows import windows

WIDTH, HEIGHT, DIM = 504, 378, 512
DIVISORS, STRIDES = (5, 7, 10), 4
CPU = torch.device("cpu")
_PROBES = 1000

Inputs = tuple[tempfile.TemporaryDirectory[str], FeatureStore]


def make_store() -> Inputs:
    """Write a store of one view with random embeddings; the folder goes when it is let go."""
    folder = tempfile.TemporaryDirectory()
    boxes = [windows(WIDTH, HEIGHT, divisor, STRIDES, [0, divisor]) for divisor in DIVISORS]
    attributes = window_attributes((WIDTH, HEIGHT), DIM, DIVISORS, STRIDES, views=1)
    stacked = np.concatenate(boxes)[None]
    store = FeatureStore.resume(Path(folder.name) / "clip.zarr", attributes, stacked)
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(stacked.shape[1], DIM, generator=generator)
    store.write(0, torch.nn.functional.normalize(vectors, dim=-1))
    return folder, store


def probes() -> tuple[torch.Tensor, torch.Tensor]:
    """Choose pixels whose features are compared."""
    generator = torch.Generator().manual_seed(1)
    ys = torch.randint(HEIGHT, (_PROBES,), generator=generator)
    return ys, torch.randint(WIDTH, (_PROBES,), generator=generator)


def streamed(inputs: Inputs) -> Sample:
    """Export with the library; compare what the file holds."""
    folder, store = inputs
    out = Path(folder.name) / "dense.zarr"
    seconds = timed(lambda: export_dense(store, out, CPU), warmup=0)
    array = zarr.open_array(out / "features", mode="r")
    ys, xs = (probe.numpy() for probe in probes())
    rows = [np.asarray(array[0, :, y, x]) for y, x in zip(ys, xs, strict=True)]
    return Sample(
        seconds,
        {"features": torch.from_numpy(np.stack(rows))},
        {"dense_mb": array.nbytes / 1e6, "stored_mb": array.nbytes_stored() / 1e6},
    )


def in_memory(inputs: Inputs) -> Sample:
    """Make the map of a view at once and save it, as the released code does."""
    folder, store = inputs
    dense: list[torch.Tensor] = []

    def work() -> None:
        ys, xs = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
        dense[:] = [store.pixels(0, ys.flatten(), xs.flatten())]
        np.save(Path(folder.name) / "dense.npy", dense[0].numpy())

    seconds = timed(work, warmup=0)
    ys, xs = probes()
    return Sample(seconds, {"features": dense[0][ys * WIDTH + xs]})


BENCHMARKS = (
    Benchmark(
        name="export_dense",
        shapes=f"1 view, 3 scales, {HEIGHT} x {WIDTH} pixels, {DIM} numbers: 1.17 GB of float32",
        goal="equal, total memory below 1 GB",
        setup=make_store,
        naive=in_memory,
        ours=streamed,
        repeats=1,
    ),
)
