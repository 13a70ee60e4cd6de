"""Exact matching of SIFT descriptors: mutual nearest neighbours that pass Lowe's ratio test.

COLMAP's own matcher on a CPU searches an approximate index, which does not come out the same every
time; its exact one is ten times as slow as a matrix product.
"""

import torch
from torch import Tensor

# COLMAP's defaults: largest angle (radians) between two that match, and its largest ratio to the
# angle with the second best.
_MAX_ANGLE = 0.7
_MAX_RATIO = 0.8
# Of a descriptor as COLMAP stores it.
_LENGTH = 512


def match_descriptors(first: Tensor, second: Tensor, rows: int = 2048) -> Tensor:
    """Pair the descriptors of two photos that are each other's nearest.

    The result does not depend on the device or its number of threads: products of bytes add up to
    integers below 2^24, exact in float32 in any order.

    Args:
        first: uint8 [N, 128] SIFT descriptors of a photo, 512 long.
        second: uint8 [M, 128] of another, on the same device.
        rows: descriptors of one photo that are compared with all of the other at once; changes
            nothing but the memory it takes.

    Returns:
        int64 [K, 2] pairs of indices, sorted by the first.
    """
    if min(len(first), len(second)) < 2:
        return torch.empty((0, 2), dtype=torch.int64, device=first.device)
    one, other = first.float(), second.float()
    partner, back = _nearest(one, other, rows), _nearest(other, one, rows)
    index = torch.arange(len(first), device=first.device)
    mutual = (partner >= 0) & (back[partner] == index)
    return torch.stack((index[mutual], partner[mutual]), dim=1)


def _nearest(queries: Tensor, others: Tensor, rows: int) -> Tensor:
    """Return the index of each query's match among the others, -1 if it has none: int64 [N]."""
    found = []
    for some in torch.split(queries, rows):
        products, index = (some @ others.T).topk(2, dim=1)
        angles = (products.double() / _LENGTH**2).clamp(max=1).acos()
        good = (angles[:, 0] <= _MAX_ANGLE) & (angles[:, 0] < _MAX_RATIO * angles[:, 1])
        found.append(torch.where(good, index[:, 0], -1))
    return torch.cat(found)
