import numpy as np
import pytest

from ovs3d.features.windows import lattice, windows

SIZES = [(320, 240, 5, 4), (320, 240, 7, 4), (320, 240, 10, 4), (101, 64, 3, 2.5), (9, 9, 20, 4)]


def test_lattice_adds_a_row_and_a_column_where_the_stride_does_not_divide() -> None:
    squares = lattice(20, 10, 2, 2)
    assert (squares.size, squares.stride) == (5, 2)
    assert squares.lefts == (0, 2, 4, 6, 8, 10, 12, 14, 15)
    assert squares.uppers == (0, 2, 4, 5)
    assert squares.count == 36


def test_lattice_adds_nothing_where_the_stride_divides() -> None:
    assert lattice(8, 4, 1, 2).lefts == (0, 2, 4)
    assert lattice(8, 4, 1, 2).uppers == (0,)


@pytest.mark.parametrize(("width", "height", "divisor", "strides"), SIZES)
def test_windows_cover_every_pixel(width: int, height: int, divisor: float, strides: float) -> None:
    covered = np.zeros((height, width), dtype=bool)
    for left, upper, right, lower in windows(width, height, divisor, strides, [0]):
        covered[upper:lower, left:right] = True
    assert covered.all()


@pytest.mark.parametrize(("width", "height", "divisor", "strides"), SIZES)
def test_windows_push_sides_outwards_by_at_most_a_stride_within_the_image(
    width: int, height: int, divisor: float, strides: float
) -> None:
    squares = lattice(width, height, divisor, strides)
    boxes = windows(width, height, divisor, strides, [3, 1])
    assert boxes.shape == (squares.count, 4)
    assert boxes.dtype == np.int16
    for index, box in enumerate(boxes.tolist()):
        row, column = divmod(index, len(squares.lefts))
        left, upper = squares.lefts[column], squares.uppers[row]
        right, lower = left + squares.size, upper + squares.size
        assert max(0, left - squares.stride) <= box[0] <= left
        assert max(0, upper - squares.stride) <= box[1] <= upper
        assert right <= box[2] <= min(width, right + squares.stride)
        assert lower <= box[3] <= min(height, lower + squares.stride)


def test_windows_draw_every_push_from_zero_to_the_stride() -> None:
    squares = lattice(320, 240, 5, 4)
    boxes = windows(320, 240, 5, 4, [0]).reshape(len(squares.uppers), len(squares.lefts), 4)
    inner = boxes[2:-3, 2:-3]
    assert set(np.unique(squares.lefts[2:-3] - inner[..., 0])) == set(range(13))
    assert set(np.unique(inner[..., 2] - squares.lefts[2:-3] - squares.size)) == set(range(13))


def test_windows_depend_on_every_seed_word_and_on_nothing_else() -> None:
    first = windows(64, 48, 3, 4, [0, 1, 2])
    np.testing.assert_array_equal(first, windows(64, 48, 3, 4, [0, 1, 2]))
    for other in ([1, 1, 2], [0, 2, 2], [0, 1, 3]):
        assert not np.array_equal(first, windows(64, 48, 3, 4, other))


@pytest.mark.parametrize(("width", "height"), [(0, 10), (40000, 10)])
def test_lattice_refuses_sides_that_int16_boxes_cannot_hold(width: int, height: int) -> None:
    with pytest.raises(ValueError, match=r"1\.\.32767 pixels"):
        lattice(width, height, 5, 4)
