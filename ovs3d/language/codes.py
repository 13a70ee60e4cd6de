"""Unit vectors in few bytes: their largest principal components, each rounded to 8 bits."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

_LEVELS = 127
_MOST_MISSED = 0.01
"""Share of the vectors whose cosine may be below the one that `choose_basis` is asked for."""


@dataclass(frozen=True, eq=False)
class Codes:
    """Codes of M vectors of N_s scales.

    Attributes:
        values: int8 [M, N_s, K].
        steps: float32 [K], what a code of 1 stands for.
        basis: float32 [K, D], orthonormal rows.
    """

    values: Tensor
    steps: Tensor
    basis: Tensor

    def unit(self) -> Tensor:
        """Return the vectors in the basis, [M, N_s, K] float32 unit vectors."""
        return normalize(self.values.float() * self.steps, dim=2)

    def means(self) -> Tensor:
        """Return their means over the scales, [M, K] float32.

        Products with a text in the basis are the means of its cosines.
        """
        return self.unit().mean(1)

    def decode(self) -> Tensor:
        """Return the vectors themselves, [M, N_s, D] float32 unit vectors."""
        return self.unit() @ self.basis


def choose_basis(vectors: Tensor, cosine: float) -> Tensor:
    """Choose the fewest principal directions that keep vectors and their differences.

    The vectors of published encoders all share a large component, their mean, which tells nothing
    about any of them. So cosines are those of vectors from which it is subtracted.

    Args:
        vectors: [n, D] unit vectors.
        cosine: that 99 of 100 vectors, less the mean, must have with their projections on the
            directions, less the mean.

    Returns:
        [K, D] orthonormal rows, the heaviest first.
    """
    mean = vectors.mean(0)
    moments = vectors.double().T @ vectors.double()
    directions: Tensor = torch.linalg.eigh(moments)[1].flip(1).T.to(vectors.dtype)
    low, high = 1, len(directions)
    while low < high:
        middle = (low + high) // 2
        basis = directions[:middle]
        kept = (vectors @ basis.T) @ basis
        enough = cosine_similarity(kept - mean, vectors - mean, dim=1) >= cosine
        if float(enough.float().mean()) >= 1 - _MOST_MISSED:
            high = middle
        else:
            low = middle + 1
    return directions[:low].contiguous()


def encode(projected: Tensor, basis: Tensor) -> Codes:
    """Code vectors that are given in a basis.

    Args:
        projected: [M, N_s, K] of any lengths.
        basis: [K, D].
    """
    unit = normalize(projected, dim=2)
    steps = unit.abs().amax((0, 1)).clamp_min(1e-6) / _LEVELS
    return Codes((unit / steps).round().to(torch.int8), steps, basis)
