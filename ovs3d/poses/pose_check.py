"""Do given poses belong to the photos? Matches that the photos alone give are asked.

No error in pixels tells right poses from wrong ones: those that a phone tracks miss by more than
those of the next photo. So given poses are compared with what else they could have meant (other
axes, inverse matrices, another order, another focal length): they are wrong if one of these agrees
far better, or if they hardly agree at all; a photo is wrong if it stands out from the others.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pycolmap

from ovs3d.poses.epipolar import Agreement, Matches, Rays, agreement, typical
from ovs3d.poses.pose_readings import DOUBT, Convention, Reading, conventions, orders
from ovs3d.space.normalise import Array

CLOSE = 0.5
"""Degrees to which a match agrees with poses."""

# So many matches are asked: of each pair, and of all for a first look at the many readings.
_MATCHES_PER_PAIR = 64
_FIRST_LOOK = 800
# Less says nothing, of a scene or of one photo: one pair agrees with many poses by chance.
_MIN_PAIRS = 3
_MIN_MATCHES = 60
_MIN_PARTNERS = 2
_MIN_OF_PHOTO = 40
# A reading replaces the poses as they stand if it costs less than this share of what they cost, its
# good matches miss by at most so many degrees, and at least this share of all is close.
_BETTER = 0.4
_GOOD = 0.25
_MOST = 0.5
# One reading is preferred to a plainer one if it costs less than this share of it.
_PLAINER = 0.8
# Share of matches that SIFT gets wrong or that show what repeats; no reading improves on them.
_STRAY = 0.05
# Degrees that no reading can improve on: rounding of SIFT points.
_FLOOR = 0.03
# Poses are not of these photos if to so many degrees less than this share of matches agrees.
_ROUGH = 1.0
_FEW = 0.55
# A photo stands out that misses by so many times the usual angle, and so many degrees; by more the
# fewer partners it has, since noise can look like that.
_OUTSTANDING = 5.0
_CHANCE = 4.0
_NOTICEABLE = 0.15
# Degrees by which good matches miss poses that are right but rough.
_NOISY = 0.3

# Times the given focal length: what is tried, and then about the best of it.
_FOCAL_SCALES = np.geomspace(1 / 8, 8, 73)
_FINE = np.geomspace(0.94, 1.06, 13)
# Photos are made smaller by whole numbers: a scale this near (logarithm) to one of these is it.
_RATIOS = (1 / 8, 1 / 4, 1 / 3, 1 / 2, 2.0, 3.0, 4.0, 8.0)
_SAME_RATIO = 0.04
# Less is no other focal length.
_OTHER_FOCAL = 1.25

Kind = Literal["unknown", "right", "misread", "some", "wrong"]


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the matches say of given poses.

    Attributes:
        kind: `unknown` (too few matches), `right`, `misread` (right in the reading `words`),
            `some` (the photos `wrong` do not fit) or `wrong`.
        matches: number of matches that were asked.
        share: of them agree with the poses as given, to within `CLOSE`.
        typical: degrees by which good matches miss the poses as given.
        words: the reading that fits instead, if any.
        share_then: share of the matches that agree with it.
        poses: `[V, 3, 4]` that are right, world from camera; as given where none are known.
        cameras: with the focal length that is right.
        wrong: views that do not fit the others.
    """

    kind: Kind
    matches: int
    share: float
    typical: float
    poses: Array
    cameras: Sequence[pycolmap.Camera]
    words: str = ""
    share_then: float = 0.0
    wrong: tuple[int, ...] = ()

    @property
    def noisy(self) -> bool:
        """Tell whether poses that are right in principle are too rough to be good."""
        return self.kind == "right" and self.typical > _NOISY


def judge(
    matches: Matches,
    cameras: Sequence[pycolmap.Camera],
    poses: Array,
    names: Sequence[str],
    convention: Convention,
) -> Verdict:
    """Compare given poses with the matches of their photos.

    Args:
        matches: verified by the photos alone, pair by pair.
        cameras: of each photo.
        poses: `[V, 3, 4]`, world from camera, OpenCV axes.
        names: of the photos.
        convention: of the format that the poses came in.
    """
    # So that no pair outvotes others.
    matches = matches.thinned(_MATCHES_PER_PAIR)
    pairs = len(np.unique(matches.views, axis=0))
    if pairs < _MIN_PAIRS or len(matches) < _MIN_MATCHES:
        return Verdict("unknown", len(matches), 0.0, 0.0, poses, cameras)
    rays = matches.rays(cameras)
    given = agreement(rays, poses)
    facts = (len(matches), given.share(CLOSE), given.typical)
    wrong = _outstanding(rays, poses, given.angles)
    kept = np.flatnonzero(~np.isin(rays.views, wrong).any(axis=1))
    rest = agreement(rays.only(kept), poses)
    few = rest.share(_ROUGH) < _FEW and rest.typical > _NOISY
    kind: Kind = "some" if wrong else "right"
    if few or len(wrong) > len(poses) / 2 or _cost(rest) == np.inf:
        kind, wrong = "wrong", ()
    as_given = Verdict(kind, *facts, poses, cameras, wrong=wrong)
    if _cost(given) <= _FLOOR * _STRAY:
        return as_given
    words, found = "", given
    if other := _other_reading(rays, given, poses, names, convention):
        words, found, poses = other[0].words, other[1], other[0].poses
    elif another := _other_focal(matches, cameras, given, poses):
        words, cameras, found = another
    else:
        return as_given
    wrong = _outstanding(matches.rays(cameras), poses, found.angles)
    # Two photos swapped, say, are no explanation of one that is wrong.
    if kind == "some" and wrong and len(as_given.wrong) <= len(wrong):
        return as_given
    kind = "some" if wrong else "misread"
    return Verdict(kind, *facts, poses, cameras, words, found.share(CLOSE), wrong)


def _cost(found: Agreement) -> float:
    """Return a figure of how badly poses agree, infinite if they see most of it behind them."""
    if found.ahead < max(found.behind, 0.5):
        return np.inf
    return max(found.typical, 1e-6) * (1 - found.share(CLOSE) + _STRAY)


def _fits(found: Agreement, given: Agreement, doubt: float) -> bool:
    better = doubt * _cost(found) < _BETTER * _cost(given)
    return better and found.typical <= _GOOD and found.share(CLOSE) >= _MOST


def _other_reading(
    rays: Rays, given: Agreement, poses: Array, names: Sequence[str], convention: Convention
) -> tuple[Reading, Agreement] | None:
    """Find the other convention or order that agrees far better, if there is one."""
    look = rays.only(slice(None, None, max(1, len(rays.views) // _FIRST_LOOK)))
    best, least = None, np.inf
    for reading in (*conventions(poses, convention), *orders(poses, names)):
        found = agreement(look, reading.poses)
        if found.behind > found.ahead and reading.mirrored:
            reading, found = reading.turned_around(), found.turned_around()
        # Of those that hardly differ the first is the plainest.
        if (cost := reading.doubt * _cost(found)) < least * (_PLAINER if best else 1):
            best, least = reading, cost
    if best is None:
        return None
    found = agreement(rays, best.poses)
    return (best, found) if _fits(found, given, best.doubt) else None


def _other_focal(
    matches: Matches, cameras: Sequence[pycolmap.Camera], given: Agreement, poses: Array
) -> tuple[str, list[pycolmap.Camera], Agreement] | None:
    """Find the size of picture whose intrinsics these are, if not that of the photos."""

    def measure(some: Matches, scale: float, centre: bool) -> Agreement:
        found = agreement(some.rays(_scaled(cameras, scale, centre)), poses)
        # Longer lenses make all angles smaller; what they miss in pixels does not change.
        return replace(found, angles=found.angles * max(1.0, scale))

    look = matches.only(slice(None, None, max(1, len(matches) // _FIRST_LOOK)))
    scale, centre = 1.0, False
    for scales, ways in ((_FOCAL_SCALES, (False, True)), (_FINE, None)):
        tried = [(scale * s, way) for s in scales.tolist() for way in ways or (centre,)]
        scale, centre = min(tried, key=lambda choice: _cost(measure(look, *choice)))
    nearest = min(_RATIOS, key=lambda ratio: abs(np.log(ratio / scale)))
    if abs(np.log(nearest / scale)) < _SAME_RATIO:
        scale = nearest
    found = measure(matches, scale, centre)
    # Noise in poses can look like a focal length that is a little off.
    if 1 / _OTHER_FOCAL < scale < _OTHER_FOCAL or not _fits(found, given, DOUBT):
        return None
    what = "focal length and principal point" if centre else "focal length"
    words = f"{what} of photos {1 / scale:.3g} times as large"
    return words, _scaled(cameras, scale, centre), found


def _scaled(
    cameras: Sequence[pycolmap.Camera], scale: float, centre: bool
) -> list[pycolmap.Camera]:
    """Return cameras with focal lengths, and if `centre` principal points, times `scale`."""
    result = [copy(camera) for camera in cameras]
    for camera in result:
        params = np.array(camera.params)
        params[camera.focal_length_idxs()] *= scale
        if centre:
            params[camera.principal_point_idxs()] *= scale
        camera.params = params.tolist()
    return result


def _outstanding(rays: Rays, poses: Array, angles: Array) -> tuple[int, ...]:
    """Find the views that agree far less with the others than these among themselves."""
    count = len(poses)
    touched = [(rays.views == view).any(axis=1) for view in range(count)]
    good = np.ones(count, dtype=np.bool_)

    def misses() -> tuple[Array, Array]:
        """Return by how much each view misses its good partners, -1 without any, and may miss."""
        values, partners = np.full(count, -1.0), np.ones(count)
        for view in range(count):
            partner = np.where(rays.views[:, 0] == view, rays.views[:, 1], rays.views[:, 0])
            asked = touched[view] & good[partner]
            partners[view] = max(1, len(np.unique(partner[asked])))
            if partners[view] >= _MIN_PARTNERS and asked.sum() >= _MIN_OF_PHOTO:
                values[view] = typical(angles[asked])
        usual = np.median(values[good & (values >= 0)]) if (good & (values >= 0)).any() else 0.0
        return values, max(_OUTSTANDING * usual, _NOTICEABLE) * (1 + _CHANCE / partners)

    while True:
        values, limits = misses()
        if (good & (values >= 0)).sum() <= 2:
            break
        worst = int(np.where(good, values / limits, -1).argmax())
        if values[worst] <= limits[worst]:
            good |= (values >= 0) & (values <= limits)
            break
        good[worst] = False
    return tuple(np.flatnonzero(~good).tolist())
