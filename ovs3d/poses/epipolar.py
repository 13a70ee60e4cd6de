"""How far matches of photos are from agreeing with camera poses: epipolar geometry by angles."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pycolmap
from numpy.typing import NDArray

from ovs3d.space.normalise import Array

Views = NDArray[np.int64]

# The share of matches with the largest parallax, which tell ahead from behind best.
_TELLING = 0.5
# Most matches may be stray where a texture repeats itself, or two sides of a thing look alike: the
# angle below which this share of them lies is that of good ones.
_TYPICAL = 0.3


def typical(angles: Array) -> float:
    """Return by how much the good ones among matches miss, infinite if there are none."""
    return float(np.quantile(angles, _TYPICAL)) if len(angles) else np.inf


@dataclass(frozen=True, eq=False)
class Matches:
    """Points that two photos show alike, as found from the photos alone.

    Attributes:
        views: `[N, 2]` which two photos.
        first: `[N, 2]` where the first of them shows it, photo coordinates.
        second: `[N, 2]` the second.
    """

    views: Views
    first: Array
    second: Array

    def __len__(self) -> int:
        return len(self.views)

    def only(self, chosen: NDArray[np.generic] | slice) -> "Matches":
        """Return some of the matches, by a mask, by indices or by a slice."""
        return Matches(self.views[chosen], self.first[chosen], self.second[chosen])

    def thinned(self, most: int) -> "Matches":
        """Return at most so many matches of each pair, taken evenly, one pair after the other."""
        _, pair, sizes = np.unique(self.views, axis=0, return_inverse=True, return_counts=True)
        pairs = np.split(np.argsort(pair, kind="stable"), np.cumsum(sizes)[:-1])
        chosen = [matches[:: max(1, -(-len(matches) // most))] for matches in pairs]
        return self.only(np.concatenate(chosen))

    def rays(self, cameras: Sequence[pycolmap.Camera]) -> "Rays":
        """Return the rays through both points, given the camera of each photo."""
        sides = []
        for side, points in enumerate((self.first, self.second)):
            rays = np.ones((len(points), 3))
            for view in np.unique(self.views[:, side]).tolist():
                mine = self.views[:, side] == view
                rays[mine, :2] = cameras[view].cam_from_img(points[mine])
            # A point that the lens cannot have drawn.
            rays[~np.isfinite(rays).all(axis=1)] = (0, 0, 1)
            sides.append(rays / np.linalg.norm(rays, axis=1, keepdims=True))
        return Rays(self.views, sides[0], sides[1])


@dataclass(frozen=True, eq=False)
class Rays:
    """Matches as unit vectors `[N, 3]` in camera coordinates."""

    views: Views
    first: Array
    second: Array

    def only(self, chosen: NDArray[np.generic] | slice) -> "Rays":
        """Return some of the rays, by a mask, by indices or by a slice."""
        return Rays(self.views[chosen], self.first[chosen], self.second[chosen])


@dataclass(frozen=True, eq=False)
class Agreement:
    """How matches stand to poses.

    Attributes:
        angles: `[N]` degrees by which either ray misses the plane through the other and both
            cameras' centres.
        ahead: share of the matches with much parallax whose point lies ahead of both cameras.
        behind: share of these whose point lies behind both.
    """

    angles: Array
    ahead: float
    behind: float

    @property
    def typical(self) -> float:
        """Degrees by which good matches miss."""
        return typical(self.angles)

    def share(self, degrees: float) -> float:
        """Return the share of the matches that agree to within an angle."""
        return float((self.angles <= degrees).sum() / max(1, len(self.angles)))

    def turned_around(self) -> "Agreement":
        """Return the agreement with the same cameras looking the other way."""
        return Agreement(self.angles, self.behind, self.ahead)


def agreement(rays: Rays, poses: Array) -> Agreement:
    """Compare matches with poses `[V, 3, 4]`, world from camera.

    A pair of photos from one place has no epipolar plane; there the angle is that between the rays.
    """
    first, second = rays.views.T
    one = np.einsum("nij,nj->ni", poses[first, :, :3], rays.first)
    other = np.einsum("nij,nj->ni", poses[second, :, :3], rays.second)
    base = poses[second, :, 3] - poses[first, :, 3]
    length = np.linalg.norm(base, axis=1, keepdims=True)
    extent = np.ptp(poses[:, :, 3], axis=0).max()
    apart = length[:, 0] > 1e-9 * max(extent, 1e-300)
    base = base / np.where(length > 0, length, 1)
    planes = np.cross(base, one), np.cross(base, other)
    slopes = np.sqrt(sum((plane**2).sum(axis=1) for plane in planes))
    cosine = (one * other).sum(axis=1)
    miss = np.abs((other * planes[0]).sum(axis=1)) / slopes.clip(min=1e-12)
    chord = np.linalg.norm(one - other, axis=1)
    angles = np.degrees(np.where(apart, miss, chord))
    # Depths along the rays where they come nearest to each other, times a positive number.
    along, back = (one * base).sum(axis=1), (other * base).sum(axis=1)
    depths = np.stack([along - cosine * back, cosine * along - back])
    telling = apart & (chord >= np.quantile(chord, 1 - _TELLING)) if len(chord) else apart
    if not telling.any():
        return Agreement(angles, 1.0, 0.0)
    signs = depths[:, telling] > 0
    return Agreement(angles, float(signs.all(axis=0).mean()), float((~signs).all(axis=0).mean()))
