"""CLIP feature extraction: the windows of a scene's photos, embedded into a store."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ovs3d.device import encoder_batch, to_device
from ovs3d.features import windows
from ovs3d.features.clip import load_clip
from ovs3d.features.clip_params import ClipFeaturesParams
from ovs3d.features.cluster import Cluster
from ovs3d.features.extract import (
    Extraction,
    ExtractReport,
    Work,
    extract_here,
    made_with,
    shrunk_size,
)
from ovs3d.features.pipeline import Part
from ovs3d.features.window_store import WindowStore
from ovs3d.files import digest
from ovs3d.identity import code_digest
from ovs3d.photos import dataset
from ovs3d.photos.dataset import Photos
from ovs3d.photos.views import spread_out

_CODE = code_digest(__file__)
_SEED_WORDS_OF_PHOTO = 4
"""32-bit words of a photo's digest that seed its windows."""


@dataclass(frozen=True)
class ClipWork(Work):
    """The windows of a scene's photos (Algorithm 1), to be embedded into a `WindowStore`."""

    params: ClipFeaturesParams
    seed: int
    views: tuple[int, ...]
    turn: int

    title = "CLIP windows"

    def prepare(self, device: torch.device) -> Extraction:
        """Load CLIP and cut the photos into windows; see `Work.prepare`."""
        params, views = self.params, self.views
        encoder = load_clip(params.model, params.weights, device)
        digests = {view: digest(self.photos.paths[view]) for view in views}
        size = shrunk_size(self.photos, params.downscale, 1, "clip_features")
        boxes = np.stack([scene_windows(size, params, self.seed, digests[view]) for view in views])
        batch = encoder_batch(params.batch, device)
        attributes = {
            **made_with(
                _CODE, device, encoder.precision, "numpy", "open_clip", "PIL", "timm", "torch"
            ),
            "encoder_digest": encoder.digest,
            "dim": encoder.dim,
            "size": size,
            "windows_per_scale": [
                windows.lattice(*size, divisor, params.strides_per_window).count
                for divisor in params.window_divisors
            ],
            # The paths of the model may differ between machines; its digest says what it is.
            **params.model_dump(mode="json", exclude={"model", "weights", "views"}),
            "turn": self.turn,
            "batch": batch,
            "seed": self.seed,
            "views": views,
            "photos": {self.photos.names[view]: digests[view] for view in views},
        }
        from_photo = params.crop_from == "photo"

        def load(view: int) -> list[Part]:
            path = self.photos.paths[view]
            photo = to_device(
                dataset.load_photo(path, 1 if from_photo else params.downscale), device
            )
            cut = torch.from_numpy(boxes[views.index(view)].astype(np.int64))
            cut *= params.downscale if from_photo else 1
            return [
                partial(encoder.encode_windows, photo, part, self.turn)
                for part in torch.split(cut, batch)
            ]

        return Extraction(attributes, lambda out: WindowStore.resume(out, attributes, boxes), load)

    def open(self, out: Path) -> WindowStore:
        """Open the `WindowStore` at a path; see `Work.open`."""
        return WindowStore(out)


def extract_clip(
    photos: Photos,
    params: ClipFeaturesParams,
    seed: int,
    device: torch.device,
    out: Path,
    cluster: Cluster | None = None,
    train_views: Sequence[int] | None = None,
    upright: int = 0,
) -> ExtractReport:
    """Embed the windows of a scene's photos (Algorithm 1) into a `WindowStore`.

    Views that the store at `out` already holds are kept if it was made from the same photos,
    parameters, model and code; the result is the same, byte for byte, as that of an unbroken run.

    Args:
        photos: of the scene.
        params: section `clip_features`.
        seed: of the windows.
        device: where the encoder runs.
        out: the store, for example `clip.zarr`.
        cluster: whose workers run the encoder, on devices of their own; None for this process.
        train_views: photo indices of which `params.views` is the share; None for all photos.
        upright: degrees clockwise that stand the photos upright, for a `params.turn` of `auto`.

    Raises:
        WeightsError: the model cannot be loaded.
        SceneError: a photo cannot be decoded.
        ClusterError: the cluster cannot be used.
    """
    trained = range(len(photos)) if train_views is None else train_views
    views = views_with_features(len(photos), trained, params.views)
    turn = upright if params.turn == "auto" else params.turn
    work = ClipWork(photos, params, seed, views, turn)
    filled = cluster.extract(work, out) if cluster else extract_here(work, device, out)
    width, height = filled.store.attributes["size"]
    pixels = len(params.window_divisors) * width * height
    return ExtractReport.of(filled, pixels)


def views_with_features(count: int, train_views: Sequence[int], share: float) -> tuple[int, ...]:
    """Choose the photos that get features.

    All photos if the share is 1: what is tried out after training looks at test photos as well.
    A smaller one is a share of the training views, because training reads no others: at least one
    view, evenly spaced.

    Args:
        count: number of photos.
        train_views: photo indices, sorted.
        share: `clip_features.views`.
    """
    if share == 1:
        return tuple(range(count))
    return tuple(spread_out(train_views, max(1, round(len(train_views) * share))))


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
