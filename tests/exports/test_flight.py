"""The camera path of the video, and its file."""

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ovs3d.exports.flight import fly_through, write_video
from ovs3d.space.cameras import Cameras
from tests.synthetic import SyntheticScene

FRAMES = 40
M_PERTURB = -6
"""From malloc.h."""


def _ring(count: int) -> Cameras:
    """Cameras on a circle of radius 2 that look at its centre, in the plane y = 0."""
    angles = np.arange(count) * 2 * np.pi / count
    centres = 2 * np.stack([np.cos(angles), 0 * angles, np.sin(angles)], axis=1)
    down = np.array([0.0, 1.0, 0.0])
    poses = [np.stack([np.cross(down, -c / 2), down, -c / 2, c], axis=1) for c in centres]
    return Cameras(
        views=tuple(range(count)),
        names=tuple(str(view) for view in range(count)),
        width=80,
        height=60,
        intrinsics=torch.tensor([80.0, 80, 40, 30], dtype=torch.float64).repeat(count, 1),
        distortion=torch.zeros(count, 4, dtype=torch.float64),
        world_from_camera=torch.from_numpy(np.stack(poses)),
        near=1.0,
        far=4.0,
        points_min=torch.full((3,), -1.0, dtype=torch.float64),
        points_max=torch.full((3,), 1.0, dtype=torch.float64),
    )


def _assert_smooth_loop(path: Cameras, longest: float) -> None:
    """Check that steps are even, short, closed, and that the poses are rigid."""
    poses = path.world_from_camera.numpy()
    steps = np.linalg.norm(np.roll(poses[:, :, 3], -1, axis=0) - poses[:, :, 3], axis=1)
    assert steps.max() < longest
    assert steps.max() < 1.5 * steps.min()
    rotations = poses[:, :, :3]
    assert np.allclose(rotations @ rotations.transpose(0, 2, 1), np.eye(3), atol=1e-9)
    assert np.allclose(np.linalg.det(rotations), 1.0)
    turned = rotations[:, :, 2] * np.roll(rotations[:, :, 2], -1, axis=0)
    assert turned.sum(axis=1).min() > np.cos(np.radians(12))


def test_fly_through_sweep_stays_among_the_cameras(scene: SyntheticScene) -> None:
    path = fly_through(scene.cameras, FRAMES)
    _assert_smooth_loop(path, longest=0.15)
    centres = scene.cameras.world_from_camera[:, :, 3]
    flown = path.world_from_camera[:, :, 3]
    assert (flown >= centres.amin(dim=0)).all()
    assert (flown <= centres.amax(dim=0)).all()
    # It moves at all: over a good part of the sweep.
    reach = flown.amax(dim=0) - flown.amin(dim=0)
    assert reach[0] > 0.4 * (centres[:, 0].max() - centres[:, 0].min())
    assert path.views == tuple(range(FRAMES))
    assert not path.distortion.any()


def test_fly_through_ring_goes_round_and_looks_inside() -> None:
    path = fly_through(_ring(12), FRAMES)
    _assert_smooth_loop(path, longest=2 * np.pi * 2 / FRAMES)
    centres, forward = path.world_from_camera[:, :, 3], path.world_from_camera[:, :, 2]
    assert torch.allclose(centres[:, 1], torch.zeros(FRAMES, dtype=torch.float64), atol=1e-9)
    inwards = -(centres * forward).sum(dim=1) / centres.norm(dim=1)
    assert inwards.min() > 0.99
    angles = torch.atan2(centres[:, 2], centres[:, 0])
    assert len(torch.unique((angles / (np.pi / 4)).round())) >= 8


@pytest.mark.parametrize("count", [1, 2])
def test_fly_through_few_cameras(scene: SyntheticScene, count: int) -> None:
    few = replace(
        scene.cameras,
        views=scene.cameras.views[:count],
        names=scene.cameras.names[:count],
        intrinsics=scene.cameras.intrinsics[:count],
        distortion=scene.cameras.distortion[:count],
        world_from_camera=scene.cameras.world_from_camera[:count],
    )
    path = fly_through(few, 8)
    assert torch.isfinite(path.world_from_camera).all()
    assert len(path) == 8


def test_write_video_plays_and_repeats(tmp_path: Path) -> None:
    """Odd sides are padded; the picture survives compression; the bytes do not change."""
    pictures = [np.full((61, 81, 3), 40 * step, np.uint8) for step in range(5)]
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, iter(pictures), 12)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert (stream.width, stream.height, stream.average_rate) == (82, 62, 12)
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(frames) == 5
    assert [frame.mean() for frame in frames] == pytest.approx([0, 40, 80, 120, 160], abs=4)


@pytest.fixture
def fill_memory() -> Iterator[Callable[[int], None]]:
    """Yield a function that makes the C library fill new memory with a value, until the end."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        pytest.skip("needs the C library of GNU")
    yield lambda value: library.mallopt(M_PERTURB, value)
    library.mallopt(M_PERTURB, 0)


def test_write_video_does_not_depend_on_what_was_in_memory(
    tmp_path: Path, fill_memory: Callable[[int], None]
) -> None:
    """With x264's macroblock tree these waves give other bytes from fill to fill."""
    y, x = np.mgrid[:100, :82]
    pictures = []
    for step in range(8):
        waves = [np.sin((x + 2 * step) / 9), np.cos((y + step) / 7), np.sin((x + y) / 15)]
        pictures.append((127 + 120 * np.stack(waves, axis=-1)).astype(np.uint8))
    contents = set()
    for value in (1, 85, 170, 255):
        fill_memory(value)
        write_video(tmp_path / "a.mp4", iter(pictures), 12)
        contents.add((tmp_path / "a.mp4").read_bytes())
    assert len(contents) == 1


def test_write_video_leaves_nothing_behind_when_interrupted(tmp_path: Path) -> None:
    def broken() -> Iterator[NDArray[np.uint8]]:
        yield np.zeros((60, 80, 3), np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(tmp_path / "a.mp4", broken(), 12)
    assert list(tmp_path.iterdir()) == []
