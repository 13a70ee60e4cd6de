"""DINO feature extraction: one pass per photo, tokens into a store."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ovs3d.device import to_device
from ovs3d.features.cluster import Cluster
from ovs3d.features.dino_params import DinoFeaturesParams
from ovs3d.features.extract import (
    Extraction,
    ExtractReport,
    Work,
    extract_here,
    made_with,
    shrunk_size,
)
from ovs3d.features.pipeline import Part
from ovs3d.features.token_store import TokenStore
from ovs3d.files import digest
from ovs3d.identity import code_digest
from ovs3d.photos import dataset
from ovs3d.photos.dataset import Photos

_CODE = code_digest(__file__)


@dataclass(frozen=True)
class DinoWork(Work):
    """A scene's photos, to be encoded with DINO, one pass per view, into a `TokenStore`."""

    params: DinoFeaturesParams

    title = "DINO tokens"

    def prepare(self, device: torch.device) -> Extraction:
        """Load DINO and find out the grid of tokens; see `Work.prepare`."""
        # Not before: it imports timm, which takes seconds.
        from ovs3d.features import dino

        params, photos = self.params, self.photos
        encoder = dino.load_dino(
            params.model, params.weights, device, params.layer, params.final_norm
        )
        views = tuple(range(len(photos)))
        width, height = shrunk_size(photos, params.downscale, encoder.patch, "dino_features")
        attributes = {
            **made_with(_CODE, device, encoder.precision, "PIL", "timm", "torch"),
            "encoder_digest": encoder.digest,
            "dim": encoder.dim,
            "grid": (height // encoder.patch, width // encoder.patch),
            "patch": encoder.patch,
            **params.model_dump(mode="json", exclude={"model", "weights"}),
            "views": views,
            "photos": {photos.names[view]: digest(photos.paths[view]) for view in views},
        }
        # A whole factor is left to the box filter of `load_photo`, as for working images.
        whole = params.downscale.is_integer()

        def load(view: int) -> list[Part]:
            photo = dataset.load_photo(photos.paths[view], int(params.downscale) if whole else 1)
            if not whole:
                photo = _shrink(photo, params.downscale)
            photo = to_device(photo, device)
            return [partial(encoder.tokens, photo, encoder.precision)]

        return Extraction(attributes, lambda out: TokenStore.resume(out, attributes), load)

    def open(self, out: Path) -> TokenStore:
        """Open the `TokenStore` at a path; see `Work.open`."""
        return TokenStore(out)


def extract_dino(
    photos: Photos,
    params: DinoFeaturesParams,
    device: torch.device,
    out: Path,
    cluster: Cluster | None = None,
) -> ExtractReport:
    """Encode a scene's photos with DINO, one pass per view, into a `TokenStore`.

    Views that the store at `out` already holds are kept if it was made from the same photos,
    parameters, model and code; the result is the same, byte for byte, as that of an unbroken run.

    Args:
        photos: of the scene.
        params: section `dino_features`.
        device: where the encoder runs.
        out: the store, for example `dino.zarr`.
        cluster: whose workers run the encoder, on devices of their own; None for this process.

    Raises:
        WeightsError: the model cannot be loaded.
        SceneError: a photo cannot be decoded.
        ClusterError: the cluster cannot be used.
    """
    work = DinoWork(photos, params)
    filled = cluster.extract(work, out) if cluster else extract_here(work, device, out)
    width, height = (int(side / params.downscale) for side in (photos.width, photos.height))
    return ExtractReport.of(filled, width * height)


def _shrink(photo: Tensor, downscale: float) -> Tensor:
    """Resize the part of a photo [H, W, 3] that whole pixels of side `downscale` cover."""
    height, width = (int(side / downscale) for side in photo.shape[:2])
    part = photo[: round(height * downscale), : round(width * downscale)]
    channels = part.permute(2, 0, 1)[None].float()
    resized = interpolate(channels, (height, width), mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8)
