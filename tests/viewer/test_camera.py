"""The camera of a picture on the screen."""

import numpy as np
import pytest
import torch

from ovs3d.viewer.camera import of_photo
from tests.viewer.builders import cameras, front


@pytest.mark.parametrize(("width", "height"), [(200, 80), (80, 200), (96, 72)])
def test_a_photo_fits_into_the_picture_that_stands_for_it(width: int, height: int) -> None:
    known = cameras()
    camera = of_photo(known, 2, width, height)
    corners = torch.tensor([[0.0, 0.0], [known.width, 0], [0, known.height]])
    origins, directions = known.rays(2, corners)
    assert np.allclose(camera.world_from_camera[:, 3], origins[0])
    seen = directions.numpy() @ camera.world_from_camera[:, :3]
    pixels = seen[:, :2] / seen[:, 2:] * camera.focal + np.array([width, height]) / 2
    assert (pixels >= -1e-3).all()
    assert (pixels <= np.array([width, height]) + 1e-3).all()
    # And no smaller than it must be: it touches two borders.
    assert np.isclose(pixels[0], 0, atol=1e-3).any()


def test_rays_go_through_the_centres_of_pixels() -> None:
    camera = front(4, 2)
    origins, directions = camera.rays()
    assert origins.shape == directions.shape == (8, 3)
    expected = [-1.5 / camera.focal, -0.5 / camera.focal, 1.0]
    assert directions[0].tolist() == pytest.approx(expected)
    assert torch.equal(camera.rays(1, 2)[1], directions[4:])


def test_a_smaller_picture_shows_the_same() -> None:
    camera = front(1920, 1080)
    small = camera.shrunk(960 * 540)
    assert (small.width, small.height) == (960, 540)
    assert small.fov == pytest.approx(camera.fov)
    assert camera.shrunk(1e9).width == 1920


def test_places_and_pictures_are_compared() -> None:
    camera = front()
    assert camera.same_picture(front())
    assert camera.same_place(front(60, 40))
    assert not camera.same_picture(front(60, 40))
    assert not camera.same_place(camera.behind(0.1))


def test_behind_is_against_the_direction_of_view() -> None:
    assert front().behind(0.5).world_from_camera[:, 3].tolist() == [0, 0, -0.5]
