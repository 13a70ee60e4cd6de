"""Given poses beside matches: right ones pass, others are found out, and named."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pycolmap
import pytest

from ovs3d.poses.epipolar import Matches, agreement
from ovs3d.poses.pose_check import Verdict, judge
from ovs3d.poses.pose_readings import CONVENTIONS, OPENGL
from ovs3d.space.normalise import Array
from tests.pose_errors import pose_errors

WIDTH, HEIGHT, FOCAL = 320, 240, 300.0
COUNT = 12
NAMES = tuple(f"{view:03d}.jpg" for view in range(COUNT))


def walk(around: bool) -> Array:
    """Stand on an uneven path and look at the origin: ahead of it, or all around it."""
    random = np.random.default_rng(4)
    poses = []
    for view in range(COUNT):
        angle = 2 * np.pi * view / COUNT if around else 0.07 * view - 0.4
        centre = np.array([4 * np.sin(angle), random.normal(0, 0.4), -4 * np.cos(angle)])
        forward = -centre / np.linalg.norm(centre) + random.normal(0, 0.03, 3)
        forward /= np.linalg.norm(forward)
        right = np.cross([0.0, 1, 0], forward)
        right /= np.linalg.norm(right)
        poses.append(np.stack([right, np.cross(forward, right), forward, centre], axis=1))
    return np.array(poses)


def camera(focal: float = FOCAL, middle: float = 1.0) -> pycolmap.Camera:
    centre = [middle * WIDTH / 2, middle * HEIGHT / 2]
    return pycolmap.Camera(
        model="PINHOLE", params=[focal, focal, *centre], width=WIDTH, height=HEIGHT, camera_id=1
    )


def make_matches(poses: Array, stray: float) -> Matches:
    """Match what neighbours see of a cloud: half a pixel of noise, some matches that are none."""
    random = np.random.default_rng(0)
    points = random.uniform(-1.3, 1.3, (400, 3))
    seen = []
    for pose in poses:
        at = (points - pose[:, 3]) @ pose[:, :3]
        seen.append(at[:, :2] / at[:, 2:] * FOCAL + [WIDTH / 2, HEIGHT / 2])
    parts: list[tuple[Array, Array, Array]] = []
    for one, other in combinations(range(len(poses)), 2):
        if min(other - one, len(poses) - other + one) > 4:
            continue
        chosen = random.choice(len(points), 40, replace=False)
        first, second = (
            seen[view][chosen] + random.normal(0, 0.5, (40, 2)) for view in (one, other)
        )
        lost = random.random(40) < stray
        second[lost] = random.uniform(0, 1, (int(lost.sum()), 2)) * [WIDTH, HEIGHT]
        parts.append((np.tile([[one, other]], (40, 1)), first, second))
    views, first, second = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Matches(views.astype(np.int64), first, second)


def ask(
    truth: Array, given: Array, lens: pycolmap.Camera | None = None, stray: float = 0.05
) -> Verdict:
    cameras, names = [lens or camera()] * len(truth), NAMES[: len(truth)]
    convention = CONVENTIONS["transforms.json"]
    return judge(make_matches(truth, stray), cameras, given, names, convention)


def noisy(poses: Array, degrees: float, far: float, seed: int) -> Array:
    random = np.random.default_rng(seed)
    result = poses.copy()
    for pose in result:
        turn = pycolmap.Rotation3d(np.radians(random.normal(0, degrees, 3)))
        pose[:, :3] = turn.matrix() @ pose[:, :3]
        pose[:, 3] += random.normal(0, far, 3)
    return result


@pytest.mark.parametrize("around", [False, True])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("degrees", "far"), [(0.0, 0.0), (0.2, 0.005), (0.4, 0.02)])
def test_right_poses_pass_with_the_noise_of_tracking(
    around: bool, seed: int, degrees: float, far: float
) -> None:
    truth = walk(around)
    verdict = ask(truth, noisy(truth, degrees, far, seed))
    assert (verdict.kind, verdict.words, verdict.wrong) == ("right", "", ())


@pytest.mark.parametrize("count", [3, 5])
def test_few_photos_pass(count: int) -> None:
    truth = walk(False)[:count]
    assert ask(truth, noisy(truth, 0.2, 0.005, 1)).kind == "right"


@pytest.mark.parametrize("seed", range(2))
def test_right_poses_pass_where_half_of_the_matches_are_stray(seed: int) -> None:
    """As where a texture repeats itself."""
    truth = walk(True)
    verdict = ask(truth, noisy(truth, 0.2, 0.005, seed), stray=0.5)
    assert (verdict.kind, verdict.wrong) == ("right", ())
    verdict = ask(truth, read(*inverse(*as_file(truth))), stray=0.5)
    assert (verdict.kind, verdict.words) == ("misread", "world-to-camera, OpenGL axes")


def test_two_photos_are_too_few_to_tell() -> None:
    truth = walk(False)[:2]
    assert ask(truth, truth[::-1]).kind == "unknown"


def as_file(poses: Array) -> tuple[Array, Array]:
    """Return rotations and translations as transforms.json has them."""
    return poses[:, :, :3] @ OPENGL, poses[:, :, 3]


def read(rotations: Array, translations: Array) -> Array:
    """Read these as transforms.json."""
    return np.concatenate([rotations @ OPENGL, translations[:, :, None]], axis=2)


def inverse(rotations: Array, translations: Array) -> tuple[Array, Array]:
    back = rotations.transpose(0, 2, 1)
    return back, -np.einsum("vij,vj->vi", back, translations)


UNITY = np.diag([1.0, -1.0, 1.0])
ROBOT = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
"""x forward, y left, z up, as rows in OpenCV's axes."""
SHIFTS = {
    f"shifted by {abs(s)}: a photo has the pose of the photo {abs(s)} "
    f"{'after' if s > 0 else 'before'} it": s
    for s in (1, -1, 2, 5)
}
MEANT: dict[str, Callable[[Array], Array]] = {
    "camera-to-world, OpenCV axes": lambda t: read(t[:, :, :3], t[:, :, 3]),
    "world-to-camera, OpenGL axes": lambda t: read(*inverse(*as_file(t))),
    "world-to-camera, OpenCV axes": lambda t: read(*inverse(t[:, :, :3], t[:, :, 3])),
    "camera-to-world with the rotations inverted, OpenGL axes": lambda t: read(
        inverse(*as_file(t))[0], t[:, :, 3]
    ),
    "camera-to-world rotations with world-to-camera translations, OpenGL axes": lambda t: read(
        as_file(t)[0], inverse(*as_file(t))[1]
    ),
    "camera-to-world, axes x forward, y left, z up": lambda t: read(
        t[:, :, :3] @ ROBOT.T, t[:, :, 3]
    ),
    "camera-to-world, axes x right, y down, z backwards, left-handed": lambda t: read(
        UNITY @ as_file(t)[0] @ UNITY, t[:, :, 3] @ UNITY
    ),
    "swapped between 003.jpg and 009.jpg": lambda t: t[[*range(3), 9, *range(4, 9), 3, 10, 11]],
    "in reversed order": lambda t: t[::-1],
    "in the order of numbers sorted as text (1, 10, 11, 2)": lambda t: t[
        sorted(range(COUNT), key=str)
    ],
    "shifted by 1 from 005.jpg on": lambda t: t[[*range(5), *range(6, COUNT), 5]],
    **{words: lambda t, s=shift: np.roll(t, -s, axis=0) for words, shift in SHIFTS.items()},  # type: ignore[misc]
}


@pytest.mark.parametrize("around", [False, True])
@pytest.mark.parametrize("words", MEANT)
def test_what_was_meant_is_found_and_put_right(words: str, around: bool) -> None:
    truth = walk(around)
    verdict = ask(truth, MEANT[words](truth))
    assert (verdict.kind, verdict.words) == ("misread", words)
    assert verdict.share < 0.8
    assert verdict.share_then > 0.9
    rotations, positions = pose_errors(verdict.poses, truth)
    assert rotations.max() < 1e-4
    assert positions.max() < 1e-9


def test_centres_that_are_stretched_along_an_axis_are_found() -> None:
    truth = walk(True)
    verdict = ask(truth, truth * np.array([[1.0, 1, 1, 1], [1, 1, 1, 2], [1, 1, 1, 1]]))
    assert verdict.words == "camera-to-world, the centres 2 times as far along y, OpenGL axes"
    assert pose_errors(verdict.poses, truth)[1].max() < 1e-9


@pytest.mark.parametrize("scale", [0.25, 0.5, 1.5, 2.0, 4.0])
@pytest.mark.parametrize("middle", [False, True])
def test_intrinsics_of_another_size_are_found(scale: float, middle: bool) -> None:
    truth = walk(False)
    verdict = ask(truth, truth, camera(scale * FOCAL, scale if middle else 1.0))
    assert verdict.kind == "misread"
    assert verdict.words.startswith("focal length and principal" if middle else "focal length of")
    assert verdict.cameras[0].focal_length_x == pytest.approx(FOCAL, rel=0.02)
    assert verdict.cameras[0].principal_point_x == pytest.approx(WIDTH / 2, rel=0.02)


def turned(pose: Array, degrees: float) -> Array:
    turn = pycolmap.Rotation3d(np.radians(np.array([0.6 * degrees, 0.8 * degrees, 0]))).matrix()
    return np.concatenate([turn @ pose[:, :3], pose[:, 3:]], axis=1)


@pytest.mark.parametrize("around", [False, True])
@pytest.mark.parametrize("wrong", [(5,), (1, 7), (0, 4, 8)])
def test_single_wrong_photos_are_named(wrong: tuple[int, ...], around: bool) -> None:
    truth = walk(around)
    given = truth.copy()
    for view in wrong:
        given[view] = turned(given[view], 4.0)
    verdict = ask(truth, given)
    assert (verdict.kind, verdict.wrong) == ("some", wrong)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda t: t[np.random.default_rng(1).permutation(COUNT)],
        lambda t: t * [1, 1, 1, 3] + np.roll(t, 3, axis=0) * [0, 0, 0, 2],
        lambda t: noisy(t, 8.0, 0.5, 0),
    ],
    ids=["shuffled", "moved", "rough"],
)
def test_poses_that_nothing_explains_are_wrong(spoil: Callable[[Array], Array]) -> None:
    truth = walk(True)
    assert ask(truth, spoil(truth)).kind == "wrong"


def test_matches_without_parallax_agree_with_equal_centres() -> None:
    poses = walk(False)[:2].copy()
    poses[1, :, 3] = poses[0, :, 3]
    point = np.array([0.1, 0.2, 5.0])
    rays = [(point - pose[:, 3]) @ pose[:, :3] for pose in poses]
    pixels = [ray[:2] / ray[2] * FOCAL + [WIDTH / 2, HEIGHT / 2] for ray in rays]
    matches = Matches(np.array([[0, 1]]), pixels[0][None], pixels[1][None])
    assert agreement(matches.rays([camera()] * 2), poses).typical == pytest.approx(0, abs=1e-5)
