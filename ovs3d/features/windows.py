"""Algorithm 1 as pure geometry: the jittered windows of one scale and the lattice they lie on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_MAX_SIDE = int(np.iinfo(np.int16).max)

Boxes = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Lattice:
    """The regular grid of squares that the windows of one scale grow from.

    Window `row * len(lefts) + column` belongs to the square with its upper left corner at
    `(lefts[column], uppers[row])`, in working-image pixels.
    """

    size: int
    """Side of the square."""
    stride: int
    """Distance of neighbouring squares, and how far a side is pushed out at most."""
    lefts: tuple[int, ...]
    uppers: tuple[int, ...]

    @property
    def count(self) -> int:
        """Number of windows."""
        return len(self.lefts) * len(self.uppers)


def lattice(width: int, height: int, divisor: float, strides_per_window: float) -> Lattice:
    """Place the squares of one scale so that every pixel is covered.

    Args:
        width: of the working image in pixels, below 32768.
        height: of the working image in pixels, below 32768.
        divisor: the shorter side divided by this is the window side (Sec. A.2: 5, 7, 10).
        strides_per_window: the window side divided by this is the stride (Algorithm 1: 4).

    Returns:
        The lattice. Where the stride does not divide what is left of a side, one extra row or
        column lies flush with the border; Algorithm 1 leaves those pixels without a feature.
    """
    if not 0 < min(width, height) <= max(width, height) <= _MAX_SIDE:
        raise ValueError(f"windows need sides of 1..{_MAX_SIDE} pixels, got {width} x {height}")
    size = min(max(1, int(min(width, height) / divisor)), min(width, height))
    stride = min(max(1, int(size / strides_per_window)), size)
    return Lattice(size, stride, _starts(width, size, stride), _starts(height, size, stride))


def windows(
    width: int,
    height: int,
    divisor: float,
    strides_per_window: float,
    seed_words: Sequence[int],
) -> Boxes:
    """Cut one scale of a photo into windows (Algorithm 1).

    Each side of each square of the lattice is pushed outwards by an independent random
    0..stride pixels and clipped to the image, so that averages show no checkerboard.

    Args:
        width: of the working image in pixels.
        height: of the working image in pixels.
        divisor: as for `lattice`.
        strides_per_window: as for `lattice`.
        seed_words: non-negative integers that identify seed, photo and scale. Window `m` takes
            the `m`-th draw, so nothing depends on other photos or scales.

    Returns:
        [M, 4] int16: left, upper, right, lower in working-image pixels, right and lower
        exclusive. M depends on the sizes alone.
    """
    squares = lattice(width, height, divisor, strides_per_window)
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence(list(seed_words))))
    push = generator.integers(0, squares.stride, size=(squares.count, 4), endpoint=True)
    upper, left = (
        axis.ravel() for axis in np.meshgrid(squares.uppers, squares.lefts, indexing="ij")
    )
    boxes = np.stack(
        [
            np.maximum(left - push[:, 0], 0),
            np.maximum(upper - push[:, 1], 0),
            np.minimum(left + squares.size + push[:, 2], width),
            np.minimum(upper + squares.size + push[:, 3], height),
        ],
        axis=1,
    )
    return boxes.astype(np.int16)


def _starts(length: int, size: int, stride: int) -> tuple[int, ...]:
    starts = list(range(0, length - size + 1, stride))
    if starts[-1] + size < length:
        starts.append(length - size)
    return tuple(starts)
