"""What the small models are worth on scenes that they were not trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
from safetensors import safe_open
from sklearn.metrics import roc_auc_score
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from tools.models import clip_model, dino_model
from tools.models.clip_zero_shot import Tokenizer, other_name, zero_shot
from tools.models.dino_auc import cell_entities, enlarge, pair_cosines
from tools.models.plots import save_pca, save_relevancy
from tools.models.relevancy import best_label_iou, relevancy_maps
from tools.models.scenes import Picture

PER_ENTITY = 4
PAIRS = 20_000
THRESHOLD = 0.7
WIDTHS = (480, 640)


@dataclass(frozen=True)
class Models:
    """Both models and CLIP's tokenizer."""

    clip: nn.Module
    tokenizer: Tokenizer
    dino: VisionTransformer


def load_models(weights: Path) -> Models:
    """Load both models from the folder of weights."""
    clip = clip_model.load_clip(weights / "clip")
    dino, _ = dino_model.load_dino(weights / "dino")
    return Models(clip, open_clip.get_tokenizer(clip_model.NAME), dino)


def measure(models: Models, pictures: Sequence[Picture], weights: Path) -> dict[str, Any]:
    """Return the report on unseen pictures: flat accuracies first, then details."""
    named = zero_shot(models.clip, models.tokenizer, pictures, PER_ENTITY, seed=0)
    renamed = zero_shot(
        models.clip, models.tokenizer, pictures, PER_ENTITY, seed=0, name=other_name
    )
    # At these widths, pictures in portrait have no whole number of tokens.
    wide = [picture for picture in pictures if picture.photo.shape[2] > picture.photo.shape[1]]
    pairs = {str(width): pair_report(models.dino, wide, width) for width in WIDTHS}
    first_views = [picture for picture in pictures if picture.view == 0]
    return {
        "clip_top1": named.top1,
        "clip_top1_per_size": named.per_size(),
        "clip_top1_objects": named.of_objects(True),
        "clip_top1_backgrounds": named.of_objects(False),
        "synonym_top1": renamed.top1,
        "clip_window_miou": _window_miou(models, first_views),
        "dino_auc": pairs[str(WIDTHS[0])]["norm"]["auc"],
        "dino_pairs": pairs,
        "models": {
            "clip": _size(weights / "clip" / f"{clip_model.NAME}.safetensors"),
            "dino": _size(weights / "dino" / f"{dino_model.NAME}.safetensors"),
        },
        "seeds": sorted({picture.seed for picture in pictures}),
        "n": {
            "pictures": len(pictures),
            "clip_windows": len(named.hits),
            "dino_pairs": PAIRS * len(wide),
        },
    }


def pair_report(
    dino: VisionTransformer, pictures: Sequence[Picture], width: int
) -> dict[str, dict[str, float]]:
    """Return AUC and the shares on the right side of the paper's threshold, per kind of token.

    Kinds: before ("raw") and after the final norm ("norm").
    """
    scores: dict[str, list[tuple[float, float, float]]] = {"raw": [], "norm": []}
    for number, picture in enumerate(pictures):
        photo, entity_map = enlarge(picture, width)
        cells = cell_entities(entity_map)
        for name, tokens in zip(scores, dino_model.photo_tokens(dino, photo), strict=True):
            rng = np.random.default_rng(number)
            scores[name].append(_separation(*pair_cosines(tokens, cells, PAIRS, rng)))
    keys = ("auc", "same_above_threshold", "different_below_threshold")
    return {
        name: dict(zip(keys, np.mean(rows, axis=0).tolist(), strict=True))
        for name, rows in scores.items()
    }


def draw_figures(models: Models, picture: Picture, images: Path) -> None:
    """Write both figures for one unseen view."""
    photo, _ = enlarge(picture, WIDTHS[1])
    save_pca(photo, dino_model.photo_tokens(models.dino, photo)[1], images / "dino_pca.png")
    maps = relevancy_maps(models.clip, models.tokenizer, picture, np.random.default_rng(0))
    save_relevancy(picture, maps, images / "clip_relevancy.png")


def _separation(cosines: np.ndarray, same: np.ndarray) -> tuple[float, float, float]:
    return (
        float(roc_auc_score(same, cosines)),
        float((cosines[same] > THRESHOLD).mean()),
        float((cosines[~same] < THRESHOLD).mean()),
    )


def _window_miou(models: Models, pictures: Sequence[Picture]) -> float:
    rng = np.random.default_rng(0)
    return float(
        np.mean(
            [
                best_label_iou(relevancy_maps(models.clip, models.tokenizer, picture, rng), picture)
                for picture in pictures
            ]
        )
    )


def _size(path: Path) -> dict[str, int]:
    with safe_open(path, framework="np") as file:
        # Not a dict: it cannot be iterated over without keys().
        shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
    return {
        "bytes": path.stat().st_size,
        "parameters": int(sum(np.prod(shape) for shape in shapes)),
    }
