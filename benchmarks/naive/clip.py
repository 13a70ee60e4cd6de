"""CLIP features of windows as one writes them first: crop, preprocess, encode, in turn."""

from pathlib import Path

import open_clip
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from ovs3d.features.clip import ClipEncoder


def naive_extraction(encoder: ClipEncoder, path: Path, boxes: Tensor, batch: int) -> Tensor:
    """Embed the windows of a photo in float32.

    Args:
        encoder: whose model and normalisation are used.
        path: of the photo.
        boxes: [M, 4] left, upper, right, lower in photo pixels.
        batch: windows per call of the encoder.

    Returns:
        [M, dim] float32 unit vectors.
    """
    transform = open_clip.image_transform(
        encoder.image_size,
        is_train=False,
        mean=tuple(encoder.mean.flatten().tolist()),
        std=tuple(encoder.std.flatten().tolist()),
        resize_mode="squash",
    )
    photo = Image.open(path).convert("RGB")
    crops = [transform(photo.crop(box)) for box in boxes.tolist()]
    parts = []
    with torch.no_grad():
        for start in range(0, len(crops), batch):
            inputs = torch.stack(crops[start : start + batch]).to(encoder.mean.device)
            vectors = encoder.model.encode_image(inputs)  # type: ignore[operator]
            parts.append(normalize(vectors, dim=-1).cpu())
    return torch.cat(parts)
