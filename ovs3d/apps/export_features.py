"""Write the CLIP features of a scene as one vector per pixel, for tools that want them so."""

import argparse
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec

from ovs3d.device import resolve_device
from ovs3d.errors import StoreError
from ovs3d.features.store import FeatureStore
from ovs3d.features.zarr_arrays import CHUNK_NAMES
from ovs3d.files import atomic_path
from ovs3d.params import load_scene_params
from ovs3d.progress import progress, summary_table
from ovs3d.project import PARAMS_FILE, built

_PIXELS_PER_TILE = 16
_SHARD_BYTES = 1 << 25
"""Little memory, and a paper-sized view is 24 files."""
_FLOAT32_BYTES = 4


@dataclass(frozen=True)
class DenseReport:
    """What was written: shape of the array, and megabytes before and after compression."""

    shape: tuple[int, ...]
    dense_mb: float
    stored_mb: float

    def rows(self) -> dict[str, object]:
        """Return the report as rows of a table."""
        return {
            "view, scale, y, x, D": " x ".join(map(str, self.shape)),
            "float32": f"{self.dense_mb:.1f} MB",
            "on disk": f"{self.stored_mb:.1f} MB",
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `ovs3d export-features`."""
    parser.add_argument("name", help="a key of `scenes` in params.yaml")
    parser.add_argument(
        "--dense",
        action="store_true",
        help="one float32 vector per pixel, the only form there is: a Zarr array [view, scale, y, "
        "x, D], gigabytes of it",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="the Zarr group; data/export_features/NAME/dense.zarr if not given",
    )


def run(arguments: argparse.Namespace) -> int:
    """Export the features of a scene.

    Raises:
        Ovs3dError: the scene is unknown, or its feature store is missing or damaged.
    """
    scene = arguments.name
    params = load_scene_params(PARAMS_FILE, scene)
    out = arguments.out or Path("data/export_features", scene, "dense.zarr")
    if out.exists() and not (out / "zarr.json").is_file():
        raise StoreError(f"--out {out}: is there and no Zarr group; choose another place")
    store = FeatureStore.open(built("clip_features", scene, "clip.zarr"))
    report = export_dense(store, out, resolve_device(params.device))
    summary_table(f"{out}", report.rows())
    return 0


def export_dense(
    store: FeatureStore, out: Path, device: torch.device, shard_bytes: int = _SHARD_BYTES
) -> DenseReport:
    """Stream the features of every pixel of every view into a Zarr array.

    One shard is in memory at a time, whatever the size of the scene. `out` appears when it is
    complete; equal stores give equal bytes.

    Args:
        store: the windows.
        out: Zarr v3 group to write; what stood there before is replaced. Its array `features`
            [view, scale, y, x, D] float32 holds `store.pixels`, rows in the order of the
            attribute `views`.
        device: where windows are averaged.
        shard_bytes: wanted of a file before compression; one of 16 rows may have more.

    Raises:
        StoreError: a view cannot be read, or another process is writing to the same folder.
    """
    shape = (len(store.views), store.scales, store.height, store.width, store.dim)
    tile = _PIXELS_PER_TILE
    row_bytes = store.scales * store.width * store.dim * _FLOAT32_BYTES
    band = max(1, shard_bytes // (row_bytes * tile)) * tile
    with _only_writer(out), atomic_path(out) as temporary:
        group = zarr.create_group(
            temporary,
            zarr_format=3,
            attributes={
                "format": "ovs3d.dense_features",
                "version": 1,
                "source": store.attributes["fingerprint"],
                "views": store.views,
                "downscale": store.downscale,
            },
        )
        array = group.create_array(
            "features",
            shape=shape,
            dtype="float32",
            chunks=(1, 1, tile, tile, store.dim),
            shards=(1, store.scales, band, -(-store.width // tile) * tile, store.dim),
            # Neighbours share windows, so whole vectors repeat: LZ4 halves them as zstd does, at
            # several times the speed.
            compressors=(BloscCodec(cname="lz4", shuffle="noshuffle", typesize=4), Crc32cCodec()),
            fill_value=0,
            chunk_key_encoding=CHUNK_NAMES,
            dimension_names=("view", "scale", "y", "x", "feature"),
        )
        with progress("dense features", len(store.views) * store.height, "pixel rows") as advance:
            for row, view in enumerate(store.views):
                windows = store.load([view], device)
                for top in range(0, store.height, band):
                    bottom = min(top + band, store.height)
                    pixels = torch.arange(top * store.width, bottom * store.width, device=device)
                    ys, xs = pixels // store.width, pixels % store.width
                    features = windows.gather(torch.full_like(ys, view), ys, xs)
                    values = features.view(bottom - top, store.width, store.scales, store.dim)
                    array[row, :, top:bottom] = values.permute(2, 0, 1, 3).cpu().numpy()
                    advance(bottom - top)
        stored = sum(file.stat().st_size for file in temporary.rglob("*") if file.is_file())
    return DenseReport(shape, np.prod(shape).item() * _FLOAT32_BYTES / 1e6, stored / 1e6)


@contextmanager
def _only_writer(out: Path) -> Iterator[None]:
    """Keep other processes from writing to the folder of `out`."""
    out.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(out.parent, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise StoreError(f"{out.parent}: another process is writing there; wait for it") from None
    finally:
        os.close(handle)
