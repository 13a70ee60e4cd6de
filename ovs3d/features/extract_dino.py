"""DINO feature extraction: one pass per photo, tokens into a store."""

import sys
import time
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ovs3d.device import to_device
from ovs3d.features import dino
from ovs3d.features.extract import (
    FLOAT32_BYTES,
    ExtractReport,
    Part,
    code_digest,
    fill,
    precision_name,
    shrunk_size,
)
from ovs3d.features.store import TokenStore
from ovs3d.files import digest
from ovs3d.params import DinoFeaturesParams
from ovs3d.progress import progress
from ovs3d.scene import dataset
from ovs3d.scene.dataset import Photos


def extract_dino(
    photos: Photos, params: DinoFeaturesParams, device: torch.device, out: Path
) -> ExtractReport:
    """Encode a scene's photos with DINO, one pass per view, into a `TokenStore`.

    Views that the store at `out` already holds are kept if it was made from the same photos,
    parameters, model and code; the result is the same, byte for byte, as that of an unbroken run.

    Args:
        photos: of the scene.
        params: section `dino_features`.
        device: where the encoder runs.
        out: the store, for example `dino.zarr`.

    Raises:
        WeightsError: the model cannot be loaded.
        SceneError: a photo cannot be decoded.
    """
    encoder = dino.load_dino(params.model, params.weights, device)
    precision = precision_name(encoder.precision)
    started = time.perf_counter()
    views = tuple(range(len(photos)))
    width, height = shrunk_size(photos, params.downscale, encoder.patch, "dino_features")
    grid = (height // encoder.patch, width // encoder.patch)
    attributes = {
        "code": code_digest(dino, dataset, sys.modules[__name__]),
        "encoder_digest": encoder.digest,
        "precision": precision,
        "dim": encoder.dim,
        "grid": grid,
        "patch": encoder.patch,
        **params.model_dump(mode="json", exclude={"model", "weights"}),
        "views": views,
        "photos": {photos.names[view]: digest(photos.paths[view]) for view in views},
    }
    store = TokenStore.resume(out, attributes)
    missing = store.missing()
    # A whole factor is left to the box filter of `load_photo`, as for working images.
    whole = params.downscale.is_integer()

    def load(view: int) -> list[Part]:
        photo = dataset.load_photo(photos.paths[view], int(params.downscale) if whole else 1)
        if not whole:
            photo = _shrink(photo, (width, height), params.downscale)
        return [partial(encoder.tokens, to_device(photo, device), params.final_norm)]

    with progress("DINO views", len(missing), "views") as advance:
        for view, _ in fill(store, missing, load, workers=1):
            advance(note=photos.names[view])
    return ExtractReport(
        views=len(views),
        resumed=len(views) - len(missing),
        items=grid[0] * grid[1],
        dim=encoder.dim,
        seconds=time.perf_counter() - started,
        precision=precision,
        store_bytes=store.bytes_on_disk(),
        dense_bytes=len(views) * width * height * encoder.dim * FLOAT32_BYTES,
    )


def _shrink(photo: Tensor, size: tuple[int, int], downscale: float) -> Tensor:
    """Resize the part of a photo [H, W, 3] that `size` pixels of side `downscale` cover."""
    width, height = size
    part = photo[: round(height * downscale), : round(width * downscale)]
    channels = part.permute(2, 0, 1)[None].float()
    resized = interpolate(channels, (height, width), mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8)
