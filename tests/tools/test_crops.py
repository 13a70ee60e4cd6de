import numpy as np
import torch

from tests.tools.pictures import APPLE, two_halves
from tools.models.crops import (
    CropSampler,
    central_entity,
    cut,
    jitter_light,
    sliding_boxes,
    window_box,
)


def test_windows_lie_inside_and_are_pushed_by_a_third_at_most() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        left, top, right, bottom = window_box((80, 60), 5, (120, 160), rng)
        assert 0 <= left < right <= 160
        assert 0 <= top < bottom <= 120
        assert 24 <= right - left <= 24 * (1 + 2 / 3) + 1


def test_sliding_windows_cover_every_pixel() -> None:
    covered = np.zeros((120, 160), dtype=bool)
    for left, top, right, bottom in sliding_boxes((120, 160), 7, np.random.default_rng(0)):
        covered[top:bottom, left:right] = True
    assert covered.all()


def test_crops_are_named_after_what_is_in_their_middle() -> None:
    picture = two_halves()
    assert central_entity(picture.entity_map, (20, 20, 60, 60)) == APPLE.index
    sampler, rng = CropSampler([picture]), np.random.default_rng(0)
    crops = [sampler.draw(rng) for _ in range(40)]
    assert {crop.entity.label for crop in crops} == {"red apple", "brick wall"}
    for crop in crops:
        assert crop.entity.index == central_entity(picture.entity_map, crop.box)


def test_a_cut_window_shows_its_pixels() -> None:
    window = cut(two_halves().photo, (10, 10, 60, 60), 32)
    assert window.shape == (1, 3, 32, 32)
    assert (window[0, 0] == 220).all()
    assert (window[0, 1] == 90).all()


def test_jitter_keeps_red_redder_than_green() -> None:
    windows = cut(two_halves().photo, (10, 10, 60, 60), 16).float().expand(8, -1, -1, -1) / 255
    lit = jitter_light(windows, torch.Generator().manual_seed(0))
    assert not torch.equal(lit[0], lit[1])
    assert (lit[:, 0] > lit[:, 1]).all()
