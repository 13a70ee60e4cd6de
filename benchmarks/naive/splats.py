"""Splats by torch alone: one scatter for each place that a pixel may have in a square."""

import math

import torch
from torch import Tensor

_NEAR = 0.05
_NOTHING = (1 << 63) - 1


def z_buffer(
    positions: Tensor, radii: Tensor, pose: Tensor, focal: float, width: int, height: int
) -> Tensor:
    """Return the splat that each pixel shows, int64 [h, w]; -1 for none.

    Args:
        positions: [N, 3], world.
        radii: [N], half the side of a splat, world units.
        pose: [3, 4], world from camera.
        focal: pixels.
        width: of the picture.
        height: of the picture.
    """
    x, y, z = ((positions - pose[:, 3]) @ pose[:, :3]).unbind(dim=1)
    front = z > _NEAR
    scale = focal / z
    column, row = x * scale + width / 2, y * scale + height / 2
    half = (radii * scale).clamp_min(0.5)
    left, top = (column - half - 0.5).ceil(), (row - half - 0.5).ceil()
    right, bottom = (column + half - 0.5).ceil(), (row + half - 0.5).ceil()
    # The bits of positive floats are ordered as the floats are; the lower half names the splat.
    keys = (z.view(torch.int32).long() << 32) | torch.arange(len(z))
    buffer = torch.full((width * height,), _NOTHING)
    largest = math.ceil(2 * float(half[front].max()))
    for down in range(largest + 1):
        for across in range(largest + 1):
            i, j = top + down, left + across
            inside = front & (i < bottom) & (j < right)
            inside &= (i >= 0) & (i < height) & (j >= 0) & (j < width)
            pixels = (i * width + j)[inside].long()
            buffer.scatter_reduce_(0, pixels, keys[inside], "amin")
    splats = torch.where(buffer == _NOTHING, -1, buffer & 0xFFFFFFFF)
    return splats.view(height, width)
