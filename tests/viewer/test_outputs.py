"""What is taken away can be read by others."""

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from ovs3d.files import write_json
from ovs3d.space.normalise import Similarity
from ovs3d.viewer.outputs import best_picture, export, save_picture, save_video
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


def test_all_files_are_exported_once(opened: OpenScene) -> None:
    sfm = Path("data/poses") / opened.name / "sfm"
    unit = Similarity(1.0, np.eye(3), np.zeros(3))
    write_json(sfm / "transform.json", unit.to_json())
    points = export(opened, "point_cloud_labels.ply")
    assert b"comment label 0 left" in points.read_bytes()[:1000]
    catalogue = export(opened, "objects.csv")
    assert catalogue.parent == points.parent
    assert "left" in catalogue.read_text()
    catalogue.unlink()
    assert not export(opened, "objects.csv").exists()


def test_a_path_of_another_size_makes_frames_of_that_size(opened: OpenScene) -> None:
    file = save_video(opened, Look(), [replace(front(), width=60, height=40)], 12, False, ignore)
    with av.open(str(file)) as container:
        assert next(container.decode(video=0)).width == 60
