"""Solid primitives as vertex and face lists: lathe, tube, ellipsoid, rounded box, prism."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
MAIN = "main"


@dataclass(frozen=True)
class Part:
    """One closed surface of an object; `slot` names its paint (MAIN or an accent)."""

    vertices: Array
    faces: list[tuple[int, ...]]
    slot: str = MAIN
    smooth: bool = True

    def moved(self, offset: ArrayLike) -> "Part":
        """Return the part shifted by an offset."""
        return replace(self, vertices=self.vertices + np.asarray(offset, float))

    def scaled(self, factors: ArrayLike) -> "Part":
        """Return the part scaled about the origin, one factor per axis."""
        return replace(self, vertices=self.vertices * np.asarray(factors, float))

    def turned(self, axis: str, degrees: float) -> "Part":
        """Return the part rotated about the x, y or z axis."""
        first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
        angle = np.radians(degrees)
        rotation = np.eye(3)
        rotation[first, first] = rotation[second, second] = np.cos(angle)
        rotation[second, first] = np.sin(angle)
        rotation[first, second] = -np.sin(angle)
        return replace(self, vertices=self.vertices @ rotation.T)


def smooth_curve(points: ArrayLike, steps: int = 6) -> Array:
    """Return a Catmull-Rom curve through the points, `steps` samples per span."""
    knots = np.asarray(points, float)
    padded = np.concatenate([[2 * knots[0] - knots[1]], knots, [2 * knots[-1] - knots[-2]]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    spans = []
    for p0, p1, p2, p3 in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        quadratic = 2 * p0 - 5 * p1 + 4 * p2 - p3
        cubic = 3 * p1 - p0 - 3 * p2 + p3
        spans.append(0.5 * (2 * p1 + (p2 - p0) * t + quadratic * t**2 + cubic * t**3))
    return np.concatenate([*spans, knots[-1:]])


def _grid_faces(rings: int, around: int) -> list[tuple[int, ...]]:
    """Return the quads between consecutive rings of `around` vertices."""
    return [
        (r * around + s, r * around + t, (r + 1) * around + t, (r + 1) * around + s)
        for r in range(rings - 1)
        for s, t in ((s, (s + 1) % around) for s in range(around))
    ]


def _capped(rings: Array, slot: str, smooth: bool = True) -> Part:
    """Join rings (rings, around, 3) into a tube closed by one polygon at each end."""
    count, around = rings.shape[:2]
    faces = _grid_faces(count, around)
    faces.append(tuple(range(around))[::-1])
    faces.append(tuple(range((count - 1) * around, count * around)))
    return Part(rings.reshape(-1, 3), faces, slot, smooth)


def lathe(
    profile: ArrayLike, slot: str = MAIN, *, curved: bool = True, around: int = 40, lobes: float = 0
) -> Part:
    """Return the solid of revolution of (radius, z) points about z.

    `curved` joins the points by a smooth curve; `lobes` adds five gentle bulges, as on fruit.
    """
    outline = smooth_curve(profile) if curved else np.asarray(profile, float)
    radius = np.maximum(outline[:, 0], 1e-3)[:, None]
    angle = np.linspace(0, 2 * np.pi, around, endpoint=False)[None]
    radius = radius * (1 + lobes * np.cos(5 * angle))
    height = np.broadcast_to(outline[:, 1:2], radius.shape)
    rings = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], -1)
    return _capped(rings, slot)


def ellipsoid(center: ArrayLike, radii: ArrayLike, slot: str = MAIN, *, around: int = 32) -> Part:
    """Return an axis-aligned ellipsoid."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, around // 2 + 1)
    profile = np.stack([np.cos(angle), np.sin(angle)], -1)
    return lathe(profile, slot, curved=False, around=around).scaled(radii).moved(center)


def tube(
    path: ArrayLike,
    radii: ArrayLike,
    slot: str = MAIN,
    *,
    around: int = 16,
    curved: bool = True,
    squash: float = 1.0,
) -> Part:
    """Return a tube along a path with one radius per point (or one for all).

    `squash` flattens the cross-section along its second axis, as for leaves.
    """
    points = np.asarray(path, float)
    width = np.broadcast_to(np.asarray(radii, float), (len(points),))
    line = np.column_stack([points, width])
    line = smooth_curve(line) if curved else line
    centers, width = line[:, :3], np.maximum(line[:, 3], 2e-3)
    tangents = np.gradient(centers, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    # A fixed helper axis keeps neighbouring rings from twisting against each other.
    helper = np.eye(3)[np.argmin(np.abs(tangents).max(axis=0))]
    side = np.cross(tangents, helper)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    up = np.cross(side, tangents)
    angle = np.linspace(0, 2 * np.pi, around, endpoint=False)[None, :, None]
    offset = side[:, None] * np.cos(angle) + squash * up[:, None] * np.sin(angle)
    return _capped(centers[:, None] + width[:, None, None] * offset, slot)


def rounded_box(
    center: ArrayLike, size: ArrayLike, slot: str = MAIN, *, rounding: float = 0.06
) -> Part:
    """Return a box with rounded edges: the eighths of a sphere pulled apart to its corners."""
    half = np.asarray(size, float) / 2
    rounding = min(rounding, float(half.min()) * 0.98)
    edge = np.radians([0.1, 30, 60, 89.9])
    latitude = np.concatenate([-edge[::-1], edge])[:, None]
    longitude = np.concatenate([edge + quarter * np.pi / 2 for quarter in range(4)])[None]
    direction = np.stack(
        [
            np.cos(latitude) * np.cos(longitude),
            np.cos(latitude) * np.sin(longitude),
            np.broadcast_to(np.sin(latitude), (latitude.size, longitude.size)),
        ],
        -1,
    )
    rings = rounding * direction + np.sign(direction) * (half - rounding)
    return _capped(rings + np.asarray(center, float), slot)


def prism(outline: ArrayLike, low: float, high: float, slot: str = MAIN) -> Part:
    """Return the upright prism over an (x, y) outline, with sharp edges."""
    flat = np.asarray(outline, float)
    rings = np.stack([np.column_stack([flat, np.full(len(flat), z)]) for z in (low, high)])
    return _capped(rings, slot, smooth=False)


def ring_of(part: Part, count: int) -> Sequence[Part]:
    """Return `count` copies of the part turned evenly about z."""
    return [part.turned("z", 360 * index / count) for index in range(count)]
