"""Naming windows of unseen scenes with the small CLIP: accuracy by size, and confusions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor, nn
from torch.nn import functional

from tools.models.clip_model import image_size, normalize
from tools.models.crops import SIZE_DIVISORS, cut, window_box
from tools.models.scenes import Entity, Picture

ENCODE_BATCH = 256
MIN_RADIUS = 5.0

Tokenizer = Callable[[list[str]], Tensor]


@dataclass
class ZeroShot:
    """The outcome per window: size divisor, whether right, true entity and chosen label."""

    divisors: list[int] = field(default_factory=list)
    hits: list[bool] = field(default_factory=list)
    entities: list[Entity] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    @property
    def top1(self) -> float:
        """Share of windows that got their entity's name."""
        return float(np.mean(self.hits))

    def per_size(self) -> dict[str, float]:
        """Return the share of right names for each window size, keyed by the divisor."""
        hits, divisors = np.array(self.hits), np.array(self.divisors)
        return {str(d): float(hits[divisors == d].mean()) for d in SIZE_DIVISORS}

    def of_objects(self, wanted: bool) -> float:
        """Return the share of right names among objects, or among backgrounds."""
        chosen = [entity.is_object == wanted for entity in self.entities]
        return float(np.array(self.hits)[chosen].mean())


def first_name(entity: Entity, _rng: np.random.Generator) -> str:
    """Return the label itself."""
    return entity.label


def other_name(entity: Entity, rng: np.random.Generator) -> str:
    """Return a phrase as full as the label, other words where there are any.

    Phrases that leave colour or pattern out are passed over: they may be true of two entities.
    """
    words = len(entity.label.split())
    others = [p for p in entity.phrases[1:] if len(p.split()) >= words or not entity.is_object]
    return others[rng.integers(len(others))] if others else entity.label


@torch.no_grad()
def zero_shot(
    model: nn.Module,
    tokenizer: Tokenizer,
    pictures: Sequence[Picture],
    per_entity: int,
    seed: int,
    name: Callable[[Entity, np.random.Generator], str] = first_name,
) -> ZeroShot:
    """Name entity-centred windows of every size among the names of their own scene.

    Args:
        model: the CLIP; put into evaluation mode.
        tokenizer: texts to tokens.
        pictures: views of scenes not trained on.
        per_entity: windows per visible entity and size.
        seed: of the draws.
        name: gives the text that stands for an entity.
    """
    model.eval()
    size = image_size(model)
    result = ZeroShot()
    for number, picture in enumerate(pictures):
        rng = np.random.default_rng((seed, number))
        names = [name(entity, rng) for entity in picture.entities]
        texts = encode_texts(model, tokenizer, names)
        windows: list[Tensor] = []
        for entity in picture.entities:
            for x, y in inner_points(picture.entity_map == entity.index, per_entity, rng):
                for divisor in SIZE_DIVISORS:
                    box = window_box((x, y), divisor, picture.entity_map.shape, rng)
                    windows.append(cut(picture.photo, box, size))
                    result.divisors.append(divisor)
                    result.entities.append(entity)
        for chosen in (encode_windows(model, windows) @ texts.T).argmax(1).tolist():
            entity = result.entities[len(result.hits)]
            result.hits.append(chosen == entity.index - 1)
            result.answers.append(picture.entities[chosen].label)
    return result


def inner_points(mask: np.ndarray, count: int, rng: np.random.Generator) -> list[list[float]]:
    """Return pixel centres (x, y) deep inside a mask, none if it is too thin to centre upon.

    Deep means at least half as far from the border as the deepest pixel.
    """
    # Padding makes the picture's border count as the entity's border.
    depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    if depth.max() < MIN_RADIUS:
        return []
    inner = np.argwhere(depth >= depth.max() / 2)
    picked = inner[rng.integers(len(inner), size=count)]
    points: list[list[float]] = (picked[:, ::-1] + 0.5).tolist()
    return points


@torch.no_grad()
def encode_texts(model: nn.Module, tokenizer: Tokenizer, texts: list[str]) -> Tensor:
    """Return (texts, dim) float32 unit vectors."""
    return functional.normalize(model.encode_text(tokenizer(texts)).float(), dim=1)  # type: ignore[operator]


@torch.no_grad()
def encode_windows(model: nn.Module, windows: Sequence[Tensor]) -> Tensor:
    """Return (windows, dim) float32 unit vectors of (1, 3, size, size) uint8 windows."""
    parts = [
        model.encode_image(normalize(torch.cat(list(windows[first : first + ENCODE_BATCH]))))  # type: ignore[operator]
        for first in range(0, len(windows), ENCODE_BATCH)
    ]
    return functional.normalize(torch.cat(parts).float(), dim=1)
