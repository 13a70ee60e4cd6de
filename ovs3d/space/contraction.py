"""The contraction of all of space into a cube (Mip-NeRF 360, Barron et al. 2022, Eq. 10).

With the largest coordinate as the norm, so that what is left as it is is the cube [-1, 1]^3 and
infinity is the surface of [-2, 2]^3.
"""

from torch import Tensor

# `expand` puts points on the surface of the cube, which are infinitely far, about this far out.
_FARTHEST = 1e6


def contract(points: Tensor) -> Tensor:
    """Map points `[N, 3]` of unbounded space into the cube [-2, 2]^3."""
    return points * contraction(points.abs().amax(dim=1, keepdim=True))


def contraction(size: Tensor) -> Tensor:
    """Return the factors that contract points whose largest coordinates have these sizes."""
    size = size.clamp_min(1)
    return (2 - 1 / size) / size


def expand(points: Tensor) -> Tensor:
    """Undo `contract`."""
    size = points.abs().amax(dim=1, keepdim=True).clamp_min(1)
    return points / (size * (2 - size).clamp_min(1 / _FARTHEST))
