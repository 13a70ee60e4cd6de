"""Which voxels hold anything: the mask that lets rays skip empty space."""

import torch
from torch import Tensor
from torch.nn import functional


def occupied_voxels(opacity: Tensor, threshold: float, grow: int) -> Tensor:
    """Mark the voxels that may hold a point whose opacity exceeds a threshold.

    Inside a voxel density interpolates its eight corners and so does not exceed their maximum.
    The mask is indexed by a voxel's lower node, so a point looks it up by truncation; entries of
    the last node of an axis, which is no voxel's lower node, repeat the voxel before.

    Args:
        opacity: `[x, y, z]`, one value a node.
        threshold: opacity up to which space counts as empty.
        grow: voxels by which the mask is widened in every direction (1 in training, so that a
            surface can move before the mask is made again).

    Returns:
        uint8 `[x, y, z]`, 1 where occupied.
    """
    corners = functional.max_pool3d(opacity[None, None], kernel_size=2, stride=1)
    mask = (corners > threshold).to(opacity.dtype)
    if grow:
        mask = functional.max_pool3d(mask, kernel_size=2 * grow + 1, stride=1, padding=grow)
    return functional.pad(mask, (0, 1) * 3, mode="replicate")[0, 0].to(torch.uint8).contiguous()
