"""CLIP feature extraction: the windows of a scene's photos, embedded into a store."""

import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ovs3d.device import encoder_workers, to_device
from ovs3d.features import clip, crops, windows
from ovs3d.features.extract import (
    FLOAT32_BYTES,
    ExtractReport,
    Part,
    code_digest,
    fill,
    precision_name,
    shrunk_size,
)
from ovs3d.features.store import FeatureStore
from ovs3d.files import digest
from ovs3d.params import ClipFeaturesParams
from ovs3d.progress import progress
from ovs3d.scene import dataset
from ovs3d.scene.dataset import Photos

_SEED_WORDS_OF_PHOTO = 4
"""32-bit words of a photo's digest that seed its windows."""


def extract_clip(
    photos: Photos, params: ClipFeaturesParams, seed: int, device: torch.device, out: Path
) -> ExtractReport:
    """Embed the windows of a scene's photos (Algorithm 1) into a `FeatureStore`.

    Views that the store at `out` already holds are kept if it was made from the same photos,
    parameters, model and code; the result is the same, byte for byte, as that of an unbroken run.

    Args:
        photos: of the scene.
        params: section `clip_features`.
        seed: of the windows.
        device: where the encoder runs.
        out: the store, for example `clip.zarr`.

    Raises:
        WeightsError: the model cannot be loaded.
        SceneError: a photo cannot be decoded.
    """
    encoder = clip.load_clip(params.model, params.weights, device)
    precision = precision_name(encoder.precision)
    started = time.perf_counter()
    views = evenly_spaced(len(photos), params.views)
    digests = {view: digest(photos.paths[view]) for view in views}
    size = shrunk_size(photos, params.downscale, 1, "clip_features")
    boxes = np.stack([scene_windows(size, params, seed, digests[view]) for view in views])
    counts = [
        windows.lattice(*size, divisor, params.strides_per_window).count
        for divisor in params.window_divisors
    ]
    with encoder_workers(device) as workers:
        # As many windows are under way on all cores of a CPU together as on a GPU.
        batch = max(1, params.batch // workers)
        attributes = {
            "code": code_digest(clip, crops, windows, dataset, sys.modules[__name__]),
            "encoder_digest": encoder.digest,
            "precision": precision,
            "dim": encoder.dim,
            "size": size,
            "windows_per_scale": counts,
            # The paths of the model may differ between machines; its digest says what it is.
            **params.model_dump(mode="json", exclude={"model", "weights", "views"}),
            "batch": batch,
            "seed": seed,
            "views": views,
            "photos": {photos.names[view]: digests[view] for view in views},
        }
        store = FeatureStore.resume(out, attributes, boxes)
        missing = store.missing()
        from_photo = params.crop_from == "photo"

        def load(view: int) -> list[Part]:
            photo = dataset.load_photo(photos.paths[view], 1 if from_photo else params.downscale)
            cut = torch.from_numpy(boxes[views.index(view)].astype(np.int64))
            cut = to_device(cut * (params.downscale if from_photo else 1), device)
            photo = to_device(photo, device)
            return [
                partial(encoder.encode_windows, photo, part) for part in torch.split(cut, batch)
            ]

        with progress("CLIP windows", len(missing) * boxes.shape[1], "windows") as advance:
            for view, part in fill(store, missing, load, workers):
                advance(len(part), note=photos.names[view])
    return ExtractReport(
        views=len(views),
        resumed=len(views) - len(missing),
        items=boxes.shape[1],
        dim=encoder.dim,
        seconds=time.perf_counter() - started,
        precision=precision,
        store_bytes=store.bytes_on_disk(),
        dense_bytes=len(views) * len(counts) * size[0] * size[1] * encoder.dim * FLOAT32_BYTES,
    )


def evenly_spaced(count: int, share: float) -> tuple[int, ...]:
    """Choose a share of the views, at least one, evenly spaced: floor((k + 0.5) count / n)."""
    chosen = max(1, round(count * share))
    return tuple((2 * k + 1) * count // (2 * chosen) for k in range(chosen))


def scene_windows(
    size: tuple[int, int], params: ClipFeaturesParams, seed: int, photo_digest: str
) -> NDArray[np.int16]:
    """Return the windows of all scales of one photo.

    Args:
        size: width and height of the working image.
        params: section `clip_features`.
        seed: the scene's.
        photo_digest: hexadecimal digest of the photo's file; seeds its windows together with
            `seed` and the scale, so that they do not depend on other photos or file names.

    Returns:
        [M, 4] int16 boxes, scale after scale.
    """
    photo_words = [
        int(photo_digest[8 * word : 8 * word + 8], 16) for word in range(_SEED_WORDS_OF_PHOTO)
    ]
    return np.concatenate(
        [
            windows.windows(
                *size, divisor, params.strides_per_window, [seed % 2**64, scale, *photo_words]
            )
            for scale, divisor in enumerate(params.window_divisors)
        ]
    )
