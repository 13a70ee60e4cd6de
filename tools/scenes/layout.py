"""Where objects stand: apart in space, inside the picture and little hidden from any view."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.scenes.camera import View, orbit_view

Array = NDArray[np.float64]

SIZE = (640, 480)
MARGIN = 12.0
MAX_HIDDEN = 0.25
GAP = 0.06
NEAREST_WALL = 2.5
TRIES = 150
ROUNDS = 8


@dataclass(frozen=True)
class Solid:
    """The upright cylinder that an object fits into, in scene units."""

    radius: float
    height: float


def checked_views() -> list[View]:
    """Return the views in which visibility is checked: middle and both ends of the range."""
    return [orbit_view(SIZE, azimuth) for azimuth in (-15.0, 0.0, 15.0)]


@dataclass(frozen=True)
class Area:
    """The part of the table that objects may stand on, and how they must be seen there.

    Objects stand before `back` and within `reach` of the middle. Each is wholly inside every view,
    or some view if not `everywhere`, and hides less than the share `hidden` of another.
    """

    x: tuple[float, float] = (-2.6, 2.6)
    y: tuple[float, float] = (-2.0, 1.9)
    back: float = NEAREST_WALL
    reach: float = np.inf
    hidden: float = MAX_HIDDEN
    everywhere: bool = True

    def holds(self, solid: Solid, x: float, y: float) -> bool:
        """Tell whether a solid at (x, y) stands within reach and before the wall."""
        return bool(y + solid.radius < self.back and np.hypot(x, y) + solid.radius < self.reach)

    def shows(self, box: Array, views: Sequence[View]) -> bool:
        """Tell whether a bounding box lies inside the pictures that it should be in."""
        size = np.array([views[0].width, views[0].height])
        inside = (box[:, :2] > MARGIN).all(axis=1) & (box[:, 2:] < size - MARGIN).all(axis=1)
        return bool(inside.all() if self.everywhere else inside.any())


TABLE = Area()


def boxes(solid: Solid, x: float, y: float, views: Sequence[View]) -> Array:
    """Return the bounding boxes (views, 4: left, top, right, bottom) of a solid at (x, y)."""
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    ring = np.column_stack([x + solid.radius * np.cos(angle), y + solid.radius * np.sin(angle)])
    points = np.concatenate(
        [np.column_stack([ring, np.full(len(ring), z)]) for z in (0.0, solid.height)]
    )
    pixels = np.stack([view.project(points) for view in views])
    return np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1)


def hidden_share(first: Array, second: Array) -> float:
    """Return the largest share of the smaller box that the other covers, over the views."""
    low = np.maximum(first[:, :2], second[:, :2])
    high = np.minimum(first[:, 2:], second[:, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = [np.prod(box[:, 2:] - box[:, :2], axis=1) for box in (first, second)]
    return float((common / np.minimum(*areas)).max())


def place(
    solids: list[Solid],
    rng: np.random.Generator,
    area: Area = TABLE,
    views: Sequence[View] = (),
) -> list[tuple[float, float] | None]:
    """Return a spot (x, y) for each solid, or None for one that finds no room.

    The fullest of several arrangements is taken, as an unlucky first object blocks the rest.
    """
    views = views or checked_views()
    arrangements = [_arrange(solids, rng, area, views) for _ in range(ROUNDS)]
    return min(arrangements, key=lambda spots: spots.count(None))


def _arrange(
    solids: list[Solid], rng: np.random.Generator, area: Area, views: Sequence[View]
) -> list[tuple[float, float] | None]:
    """Put one solid after the other at the first random spot that is free."""
    spots: list[tuple[float, float] | None] = []
    placed: list[tuple[float, float, float, Array]] = []
    for solid in solids:
        spots.append(None)
        for _ in range(TRIES):
            x, y = float(rng.uniform(*area.x)), float(rng.uniform(*area.y))
            box = boxes(solid, x, y, views)
            free = area.holds(solid, x, y) and area.shows(box, views)
            free = free and all(
                np.hypot(x - other_x, y - other_y) > solid.radius + radius + GAP
                and hidden_share(box, other_box) < area.hidden
                for other_x, other_y, radius, other_box in placed
            )
            if free:
                spots[-1] = (x, y)
                placed.append((x, y, solid.radius, box))
                break
    return spots
