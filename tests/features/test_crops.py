from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ovs3d.features.crops import _resize_in_turn, _resize_together, resize_windows

BOXES = [(0, 0, 61, 47), (10, 5, 50, 38), (3, 40, 31, 60), (44, 1, 80, 60), (70, 50, 80, 60)]


def make_photo() -> torch.Tensor:
    coarse = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    smooth = Image.fromarray(coarse).resize((80, 60), Image.Resampling.BICUBIC)
    noise = np.random.default_rng(1).integers(-40, 41, (60, 80, 3))
    return torch.from_numpy((np.asarray(smooth) + noise).clip(0, 255).astype(np.uint8))


Resize = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]


@pytest.fixture(params=[_resize_in_turn, _resize_together], ids=["in_turn", "together"])
def resize(request: pytest.FixtureRequest) -> Resize:
    """The ways of a CPU and of a GPU."""
    way: Resize = request.param
    return way


@pytest.mark.parametrize("side", [16, 32, 50])
def test_resize_agrees_with_pillow_on_the_cropped_picture(resize: Resize, side: int) -> None:
    photo = make_photo()
    squares = resize(photo, torch.tensor(BOXES), side)
    assert squares.dtype == torch.float32
    assert squares.shape == (len(BOXES), 3, side, side)
    for square, box in zip(squares, BOXES, strict=True):
        crop = Image.fromarray(photo.numpy()).crop(box)
        expected = np.asarray(crop.resize((side, side), Image.Resampling.BICUBIC)).astype(float)
        difference = np.abs(square.permute(1, 2, 0).numpy() - expected)
        # Pillow rounds to bytes twice, which alone makes a mean of a quarter.
        assert difference.mean() < 0.4
        # It also goes sideways first, which differs where an overshoot is clipped half-way.
        assert difference.max() < 8


def test_resize_keeps_pixels_of_a_window_of_the_square_size(resize: Resize) -> None:
    photo = make_photo()
    [square] = resize(photo, torch.tensor([(7, 9, 39, 41)]), 32)
    expected = photo[9:41, 7:39].permute(2, 0, 1).float()
    torch.testing.assert_close(square, expected, atol=1e-3, rtol=0)


def test_resize_does_not_depend_on_the_other_windows(resize: Resize) -> None:
    photo = make_photo()
    together = resize(photo, torch.tensor(BOXES), 24)
    for square, box in zip(together, BOXES, strict=True):
        [alone] = resize(photo, torch.tensor([box]), 24)
        torch.testing.assert_close(square, alone, atol=1e-3, rtol=0)


class LargestTensor(TorchDispatchMode):
    """Notes the bytes of the largest tensor that an operation makes."""

    largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor) and leaf._base is None:
                self.largest = max(self.largest, leaf.untyped_storage().nbytes())
        return result


def test_resizing_together_takes_bounded_memory_however_lengths_differ() -> None:
    side, longest = 32, 60
    most = 6 * 3 * longest**2
    boxes = torch.tensor([(0, 0, length, longest) for length in range(22, longest + 1, 2)])
    with LargestTensor() as mode:  # type: ignore[no-untyped-call]
        _resize_together(make_photo(), boxes, side, most)
    assert mode.largest <= 4 * most


def test_resize_windows_of_no_windows_is_empty() -> None:
    boxes = torch.empty((0, 4), dtype=torch.int64)
    assert resize_windows(make_photo(), boxes, 8).shape == (0, 3, 8, 8)
