"""A hand-made picture for the tests of the training tools: an apple left, a wall right."""

import numpy as np
import torch

from tools.models.scenes import Entity, Picture

APPLE = Entity(1, True, "apple", "red apple", ("red apple", "apple", "red apple fruit"))
WALL = Entity(2, False, "brick", "brick wall", ("brick wall", "bricks"))


def two_halves(width: int = 160, height: int = 120) -> Picture:
    """Return a view whose left half is red and the apple's, whose right half is the wall's."""
    entity_map = np.full((height, width), WALL.index, dtype=np.uint8)
    entity_map[:, : width // 2] = APPLE.index
    photo = torch.full((3, height, width), 90, dtype=torch.uint8)
    photo[0, :, : width // 2] = 220
    return Picture(0, 0, photo, entity_map, (APPLE, WALL))
