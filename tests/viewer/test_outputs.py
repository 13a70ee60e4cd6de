"""What is taken away can be read by others."""

from dataclasses import replace

import av
import numpy as np
import pytest
from PIL import Image

from ovs3d.viewer.outputs import best_picture, save_picture, save_points, save_video
from ovs3d.viewer.paint import Look
from ovs3d.viewer.scene import OpenScene
from tests.viewer.builders import CENTRES, front, pixel_of


def ignore(_: float) -> None:
    """Do nothing with progress."""


def test_pictures_are_numbered_and_none_is_overwritten(opened: OpenScene) -> None:
    shares: list[float] = []
    first = save_picture(opened, Look("labels"), front(), shares.append)
    second = save_picture(opened, Look(), front(), ignore)
    assert [first.name, second.name] == ["picture-001.png", "picture-002.png"]
    picture = np.asarray(Image.open(first))
    assert np.array_equal(picture, best_picture(opened, Look("labels"), front(), ignore))
    assert shares == sorted(shares)
    assert shares[-1] == 1


@pytest.mark.parametrize("from_field", [False, True])
def test_a_video_shows_the_path(opened: OpenScene, from_field: bool) -> None:
    path = [front(), front().behind(0.2), front().behind(0.4)]
    shares: list[float] = []
    file = save_video(opened, Look(), path, 12, from_field, shares.append)
    with av.open(str(file)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 12
    assert len(frames) == 3
    expected = best_picture(opened, Look(), path[1], ignore)
    place = pixel_of(CENTRES[0], path[1])
    assert np.abs(frames[1][place].astype(int) - expected[place]).max() < 30
    assert shares[-1] == 1


def test_with_hidden_labels_the_best_picture_is_that_of_the_splats(opened: OpenScene) -> None:
    picture = best_picture(opened, Look(hidden=frozenset({1})), front(), ignore)
    assert not picture[pixel_of(CENTRES[1], front())].any()


def test_points_have_labels(opened: OpenScene) -> None:
    header = save_points(opened).read_bytes()[:1000]
    assert b"comment label 0 left" in header
    assert f"element vertex {len(opened.surface.splats)}".encode() in header


def test_a_path_of_another_size_makes_frames_of_that_size(opened: OpenScene) -> None:
    file = save_video(opened, Look(), [replace(front(), width=60, height=40)], 12, False, ignore)
    with av.open(str(file)) as container:
        assert next(container.decode(video=0)).width == 60
