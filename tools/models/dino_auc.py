"""How well the cosine of two tokens tells whether they show the same entity."""

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor
from torch.nn import functional

from tools.models.dino_model import PATCH, photo_tokens
from tools.models.scenes import Picture


def cell_entities(entity_map: np.ndarray) -> np.ndarray:
    """Return the entity of every token cell, 0 where several entities share the cell."""
    height, width = entity_map.shape
    cells = entity_map.reshape(height // PATCH, PATCH, width // PATCH, PATCH)
    low, high = cells.min(axis=(1, 3)), cells.max(axis=(1, 3))
    return np.where(low == high, low, 0)


def enlarge(picture: Picture, width: int) -> tuple[Tensor, np.ndarray]:
    """Return photo and entity map at another width (same aspect)."""
    height = round(picture.entity_map.shape[0] * width / picture.entity_map.shape[1])
    photo = functional.interpolate(
        picture.photo[None], size=(height, width), mode="bicubic", antialias=True
    )[0]
    labels = torch.tensor(picture.entity_map)[None, None]
    enlarged = functional.interpolate(labels, size=(height, width), mode="nearest-exact")
    return photo, enlarged[0, 0].numpy()


def pair_cosines(
    tokens: Tensor, cells: np.ndarray, pairs: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw token pairs of one view, leaving out mixed cells.

    Returns:
        Their cosines, float, and whether both show the same entity, bool: (pairs,) each.
    """
    pure = np.flatnonzero(cells.ravel())
    first, second = rng.choice(pure, pairs), rng.choice(pure, pairs)
    unit = functional.normalize(tokens.flatten(0, 1), dim=1).numpy()
    same = cells.ravel()[first] == cells.ravel()[second]
    return (unit[first] * unit[second]).sum(1), same


def same_entity_auc(
    vit: VisionTransformer, pictures: Sequence[Picture], pairs: int, width: int = 480
) -> tuple[float, float]:
    """Return the mean ROC-AUC over views, of the tokens before and after the final norm."""
    vit.eval()
    scores: list[tuple[float, float]] = []
    for number, picture in enumerate(pictures):
        photo, entity_map = enlarge(picture, width)
        cells = cell_entities(entity_map)
        both = photo_tokens(vit, photo)
        drawn = [pair_cosines(t, cells, pairs, np.random.default_rng(number)) for t in both]
        raw, normed = (float(roc_auc_score(same, cosines)) for cosines, same in drawn)
        scores.append((raw, normed))
    raw, normed = np.mean(scores, axis=0)
    return float(raw), float(normed)
