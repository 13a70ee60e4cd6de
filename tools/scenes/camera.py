"""Cameras of a scene: OpenCV axes (x right, y down, z forward), world z up, units of the scene.

`world_from_camera` is 3x4; intrinsics are in pixels with the pixel centre at +0.5.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FOCAL_PER_WIDTH = 1.1
DISTANCE = 7.4
PITCH = 29.0
TARGET = (0.0, 0.15, 0.45)
RING_DISTANCE = 7.0
RING_PITCHES = (19.0, 28.0)


@dataclass(frozen=True)
class View:
    """One pinhole camera."""

    world_from_camera: Array
    width: int
    height: int

    @property
    def focal(self) -> float:
        """The focal length in pixels, equal along both axes."""
        return FOCAL_PER_WIDTH * self.width

    def record(self) -> dict[str, object]:
        """Return the camera as written to scene.json."""
        return {
            "world_from_camera": [
                [round(float(v), 7) for v in row] for row in self.world_from_camera
            ],
            "fx": self.focal,
            "fy": self.focal,
            "cx": self.width / 2,
            "cy": self.height / 2,
        }

    def project(self, points: Array) -> Array:
        """Return the pixel positions (n, 2) of world points (n, 3) in front of the camera."""
        rotation, center = self.world_from_camera[:, :3], self.world_from_camera[:, 3]
        local = (points - center) @ rotation
        middle = np.array([self.width / 2, self.height / 2])
        pixels: Array = self.focal * local[:, :2] / local[:, 2:] + middle
        return pixels


def look_at(position: Array, target: Array, roll: float) -> Array:
    """Return the 3x4 pose at a position facing a target, rolled by degrees."""
    forward = target - position
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    angle = np.radians(roll)
    rolled_right = np.cos(angle) * right + np.sin(angle) * down
    rolled_down = np.cos(angle) * down - np.sin(angle) * right
    return np.column_stack([rolled_right, rolled_down, forward, position])


def orbit_view(
    size: tuple[int, int],
    azimuth: float,
    *,
    pitch: float = PITCH,
    distance: float = DISTANCE,
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0),
    roll: float = 0.0,
    aside: float = 0.0,
) -> View:
    """Return the view from a direction (degrees) towards the middle of the table plus a shift.

    The whole camera, with what it looks at, stands `aside` to the right.
    """
    turn, rise = np.radians(azimuth), np.radians(pitch)
    direction = np.array([np.sin(turn) * np.cos(rise), -np.cos(turn) * np.cos(rise), np.sin(rise)])
    middle = np.array(TARGET) + np.array((aside, 0.0, 0.0))
    pose = look_at(middle + distance * direction, middle + np.array(shift), roll)
    return View(pose, *size)


def sweep(
    size: tuple[int, int],
    count: int,
    seed: int,
    *,
    pitch: float = PITCH,
    distance: float = DISTANCE,
    turn: float = 15.0,
    travel: float = 0.0,
) -> list[View]:
    """Return a hand-held-like sweep from left to right with wobble in all directions.

    The camera turns about what it looks at by `turn` degrees to each side, and travels past it
    by `travel` units to each side.
    """
    rng = np.random.default_rng(seed)
    views = []
    for step in np.linspace(-1, 1, count):
        views.append(
            orbit_view(
                size,
                azimuth=turn * step + rng.normal(0, 0.4),
                pitch=pitch + 2.6 * np.sin(4.2 * step + 0.6) + rng.normal(0, 0.35),
                distance=distance + 0.3 * np.cos(3.1 * step) + rng.normal(0, 0.07),
                shift=tuple(rng.normal(0, 0.05, 3)),
                roll=rng.normal(0, 0.7),
                aside=travel * step,
            )
        )
    return views


def ring(
    size: tuple[int, int],
    count: int,
    seed: int,
    *,
    pitches: tuple[float, float] = RING_PITCHES,
    distance: float = RING_DISTANCE,
) -> list[View]:
    """Return two hand-held-like rings, all the way round; the higher looks between the lower."""
    rng = np.random.default_rng(seed)
    views = []
    for number in range(count):
        views.append(
            orbit_view(
                size,
                azimuth=360 * number / count + rng.normal(0, 1.0),
                pitch=pitches[number % 2] + rng.normal(0, 0.8),
                distance=distance + rng.normal(0, 0.12),
                shift=tuple(rng.normal(0, 0.06, 3)),
                roll=rng.normal(0, 0.7),
            )
        )
    return views


def random_views(size: tuple[int, int], count: int, seed: int) -> list[View]:
    """Return unrelated views from a wider range of directions and distances than a sweep."""
    rng = np.random.default_rng((seed, 1))
    return [
        orbit_view(
            size,
            azimuth=rng.uniform(-20, 20),
            pitch=rng.uniform(23, 36),
            distance=rng.uniform(6.0, 8.2),
            shift=tuple(rng.uniform(-0.2, 0.2, 3)),
            roll=rng.normal(0, 1.5),
        )
        for _ in range(count)
    ]
