"""A look at DINO tokens: their first three principal components as colours beside the photo."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ovs3d.features.token_store import TokenStore
from ovs3d.files import atomic_path
from ovs3d.photos.dataset import Photos, load_photo

_TAIL = 0.02
"""Share of the tokens beyond either end of a colour channel."""


def token_colors(tokens: Tensor) -> Tensor:
    """Project tokens on their first three principal components.

    Args:
        tokens: [h, w, D] of any float type.

    Returns:
        [h, w, 3] uint8, each component stretched from its 2nd to its 98th percentile.
    """
    flat = tokens.double().flatten(0, 1)
    centred = flat - flat.mean(dim=0)
    _, axes = torch.linalg.eigh(centred.T @ centred)
    components = axes[:, -3:].flip(-1)
    # An eigenvector's sign is arbitrary: let its largest entry be positive.
    largest = components.abs().argmax(dim=0)
    components = components * components.gather(0, largest[None]).sign()
    values = centred @ components
    low, high = torch.quantile(values, torch.tensor([_TAIL, 1 - _TAIL]).to(values), dim=0)
    stretched = (values - low) / (high - low).clamp(min=1e-12)
    colors: Tensor = (stretched * 255).round().clamp(0, 255).to(torch.uint8)
    return colors.view(*tokens.shape[:2], 3)


def save_token_picture(store: TokenStore, photos: Photos, view: int, path: Path) -> None:
    """Write a PNG with a photo and, beside it, the colours of its tokens.

    Args:
        store: finished.
        photos: that the store was made from.
        view: photo index.
        path: of the PNG.
    """
    downscale = max(1, round(store.downscale))
    photo = load_photo(photos.paths[view], downscale).numpy()
    colors = token_colors(store.load([view], torch.device("cpu"))[0]).numpy()
    tiles = Image.fromarray(colors).resize(photo.shape[1::-1], Image.Resampling.NEAREST)
    with atomic_path(path) as temporary:
        Image.fromarray(np.hstack([photo, np.asarray(tiles)])).save(temporary, format="PNG")
