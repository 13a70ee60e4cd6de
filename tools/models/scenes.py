"""Reading rendered scenes into memory: photos, entity maps and what each entity is."""

import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tools.scenes.vocabulary import BACKGROUNDS, object_phrases

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entity:
    """One object or background of a scene; `phrases` are all true names, the label first."""

    index: int
    is_object: bool
    kind: str
    label: str
    phrases: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """One view of a scene.

    Attributes:
        seed: seed of the scene.
        view: number of the view in the scene.
        photo: (3, height, width) uint8, channels last in memory.
        entity_map: (height, width) uint8, the entity index of every pixel.
        entities: all entities of the scene, also those out of view.
    """

    seed: int
    view: int
    photo: Tensor
    entity_map: np.ndarray
    entities: tuple[Entity, ...]

    def entity_at(self, index: int) -> Entity:
        """Return the entity whose pixels have the value `index`."""
        return self.entities[index - 1]

    def pixel_counts(self) -> np.ndarray:
        """Return how many pixels each entity has in this view: (entities + 1,), 0 for index 0."""
        return np.bincount(self.entity_map.ravel(), minlength=len(self.entities) + 1)


def read_scenes(root: Path, seeds: Collection[int]) -> list[Picture]:
    """Read the pictures of the scenes with these seeds, in the order of seed and view.

    Scenes that are not there (a folder appears when it is complete) are left out.
    """
    pictures: list[Picture] = []
    for seed in sorted(seeds):
        folder = root / f"scene_{seed:04d}"
        try:
            pictures += _read_scene(folder)
        except FileNotFoundError:
            logger.debug("%s is not there yet", folder)
    return pictures


def _read_scene(folder: Path) -> list[Picture]:
    scene = json.loads((folder / "scene.json").read_text())
    entities = tuple(_entity(entry) for entry in scene["entities"])
    if [entity.index for entity in entities] != list(range(1, len(entities) + 1)):
        raise ValueError(f"{folder}: entity indices must count up from 1")
    return [
        Picture(
            seed=scene["seed"],
            view=view,
            photo=_read_photo(folder / "images" / f"{view:03d}.jpg"),
            entity_map=np.asarray(Image.open(folder / "labels" / f"{view:03d}.png").convert("L")),
            entities=entities,
        )
        for view in range(len(scene["views"]))
    ]


def _read_photo(path: Path) -> Tensor:
    pixels = np.array(Image.open(path).convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _entity(entry: dict[str, Any]) -> Entity:
    is_object = entry["type"] == "object"
    names: Sequence[str]
    if is_object:
        names = object_phrases(entry["kind"], entry["color"], entry["pattern"])
    else:
        names = BACKGROUNDS[entry["kind"]].phrases(entry["role"])
    phrases = tuple(dict.fromkeys((entry["label"], *names)))
    return Entity(entry["index"], is_object, entry["kind"], entry["label"], phrases)
