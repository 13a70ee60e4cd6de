"""Other things that the numbers of given poses could have meant.

Tools differ in the camera's axes, in whether a matrix takes the camera to the world or the world to
the camera, and mix these up in every way; a list of poses can be one place ahead of its photos too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, permutations, product

import numpy as np

from ovs3d.poses.given_poses import natural
from ovs3d.space.normalise import Array

OPENCV = np.eye(3)
"""Camera axes x right, y down, z forward: those of COLMAP, and of the project."""
OPENGL = np.diag([1.0, -1.0, -1.0])
"""x right, y up, z backwards: those of transforms.json; `R @ OPENGL` turns axes either way."""
LLFF = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, -1]])
"""x down, y right, z backwards: those of poses_bounds.npy."""
_KNOWN_AXES = {"OpenCV": OPENCV, "OpenGL": OPENGL, "LLFF": LLFF}


@dataclass(frozen=True, eq=False)
class Convention:
    """How a file format writes poses.

    Attributes:
        axes: its camera axes, as rows in OpenCV's.
        kinds: what its matrices are, and what their inverses are.
    """

    axes: Array
    kinds: tuple[str, str]


_KINDS = ("camera-to-world", "world-to-camera")
CONVENTIONS: Mapping[str, Convention] = {
    "transforms.json": Convention(OPENGL, _KINDS),
    "poses_bounds.npy": Convention(LLFF, _KINDS),
    "COLMAP": Convention(OPENCV, (_KINDS[1], _KINDS[0])),
}
"""By the name of the format."""

_TURNS = tuple(
    turn
    for order in permutations(range(3))
    for signs in product((1.0, -1.0), repeat=3)
    if np.linalg.det(turn := np.eye(3)[list(order)] * signs) > 0
)
"""The 24 ways to call a camera's axes that keep it right-handed."""
_DIRECTIONS = (("right", "left"), ("down", "up"), ("forward", "backwards"))
DOUBT = 4.0
"""How many times as well as others a reading must fit that scales something by a number, such as
the focal length: noise can look like a scale."""

# A list of poses is ahead of its photos by so many places at most.
_MAX_SHIFT = 100
# How far apart centres can be by mistake along one axis, times the truth.
_STRETCHES = (-1.0, 1000.0, 100.0, 10.0, 2.0, 0.5, 0.1, 0.01, 0.001)
# Up to so many photos, any two that were swapped are looked for.
_MAX_SWAPPED = 20
# A list of poses is broken at one of so many places at most.
_MAX_BREAKS = 100


@dataclass(frozen=True, eq=False)
class Reading:
    """Poses, read in another way.

    Attributes:
        words: what the numbers would be, for messages.
        poses: `[V, 3, 4]`, world from camera, OpenCV axes.
        mirrored: words for the same turned around, for poses that put all behind the cameras;
            empty where turning around is no reading.
        doubt: how many times as well as others it must fit, since noise can look like it.
    """

    words: str
    poses: Array
    mirrored: str = ""
    doubt: float = 1.0

    def turned_around(self) -> "Reading":
        """Return the reading that sees ahead what this one sees behind."""
        poses = self.poses.copy()
        poses[:, :, 3] *= -1
        return Reading(self.mirrored, poses)


def conventions(poses: Array, convention: Convention) -> Iterator[Reading]:
    """List what the matrices of poses could have meant, the plainest first.

    Args:
        poses: `[V, 3, 4]` as they were read.
        convention: by which they were read.
    """
    raw, moved = poses[:, :, :3] @ convention.axes.T, poses[:, :, 3]
    back = raw.transpose(0, 2, 1)
    own, inverse = convention.kinds
    mixed = f"{own} rotations with {inverse} translations"
    opposite = f"{inverse} rotations with {own} translations"
    meanings = (
        (own, raw, moved),
        (inverse, back, -_times(back, moved)),
        (f"{own} with the rotations inverted", back, moved),
        (mixed, raw, -_times(raw, moved)),
        (f"{own} rotations with the camera centres", raw, -_times(back, moved)),
        (opposite, back, _times(back, _times(back, moved))),
    )
    for what, rotations, centres in meanings:
        for turn in sorted(_TURNS, key=_plainness):
            yield _reading(what, rotations, centres, turn)
    for what, rotations, centres in meanings[:2]:
        for turn, other in product((OPENCV, OPENGL, convention.axes), _TURNS):
            if not np.array_equal(other, np.eye(3)):
                words = f"{what}, the centres in other world axes than the rotations"
                yield _reading(words, rotations, centres @ other.T, turn)
    for axis, times in product(range(3), _STRETCHES):
        stretched = moved.copy()
        stretched[:, axis] /= times
        words = f"{own}, the centres {times:g} times as far along {'xyz'[axis]}"
        yield replace(_reading(words, raw, stretched, convention.axes), doubt=DOUBT)


def orders(poses: Array, names: Sequence[str]) -> Iterator[Reading]:
    """List in what other order poses could belong to their photos.

    Args:
        poses: `[V, 3, 4]` in the order of the photos.
        names: of the photos.
    """
    count = len(poses)
    places = np.arange(count)
    for shift in (s for step in range(1, min(_MAX_SHIFT, count // 2) + 1) for s in (step, -step)):
        yield Reading(
            f"shifted by {abs(shift)}: a photo has the pose of the photo "
            f"{abs(shift)} {'before' if shift > 0 else 'after'} it",
            poses[(places + shift) % count],
        )
    yield Reading("in reversed order", poses[::-1])
    for start in (0, 1):
        as_text = sorted(range(count), key=lambda place: str(place + start))
        for order in (as_text, np.argsort(as_text)):
            yield Reading("in the order of numbers sorted as text (1, 10, 11, 2)", poses[order])
    by_number = sorted(range(count), key=lambda place: natural(names[place]))
    if by_number != list(range(count)):
        yield Reading("in the order of the photos' numbers", poses[np.argsort(by_number)])
        yield Reading("in the order of the photos' names as text", poses[by_number])
    if count <= _MAX_SWAPPED:
        for one, other in combinations(range(count), 2):
            swapped = places.copy()
            swapped[[one, other]] = other, one
            yield Reading(f"swapped between {names[one]} and {names[other]}", poses[swapped])
    step = -(-count // _MAX_BREAKS)
    for first in range(1, count - 1, step):
        before, after = places[:first], places[first:]
        for shift in (1, -1, 2, -2):
            yield Reading(
                f"shifted by {abs(shift)} from {names[first]} on",
                poses[np.concatenate([before, np.roll(after, shift)])],
            )


def _times(matrices: Array, vectors: Array) -> Array:
    turned: Array = np.einsum("vij,vj->vi", matrices, vectors)
    return turned


def _reading(what: str, rotations: Array, centres: Array, turn: Array) -> Reading:
    poses = np.concatenate([rotations @ turn, centres[:, :, None]], axis=2)
    return Reading(f"{what}, {_axes(turn)}", poses, f"{what}, {_axes(-turn)}")


def _plainness(turn: Array) -> int:
    """Return a key that sorts the axes of known formats first."""
    known = enumerate(_KNOWN_AXES.values())
    return next((i for i, axes in known if np.array_equal(axes, turn)), len(_KNOWN_AXES))


def _axes(turn: Array) -> str:
    """Name the camera axes that `turn` takes OpenCV's to."""
    for name, axes in _KNOWN_AXES.items():
        if np.array_equal(turn, axes):
            return f"{name} axes"
    words = []
    for letter, row in zip("xyz", turn, strict=True):
        axis = int(np.abs(row).argmax())
        words.append(f"{letter} {_DIRECTIONS[axis][int(row[axis] < 0)]}")
    hand = "" if np.linalg.det(turn) > 0 else ", left-handed"
    return f"axes {', '.join(words)}{hand}"
