"""Vectors in few bytes: how few directions suffice, and what rounding costs."""

import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize

from ovs3d.language.codes import choose_basis, encode

SHARED = 5.0


def features(count: int = 4000, dim: int = 32, used: int = 6) -> torch.Tensor:
    """Return unit vectors that differ in a few directions, and share a long component."""
    generator = torch.Generator().manual_seed(0)
    spread = torch.randn(count, used, generator=generator)
    axes = torch.linalg.qr(torch.randn(dim, used + 1, generator=generator))[0].T
    noise = 0.01 * torch.randn(count, dim, generator=generator)
    return normalize(spread @ axes[:used] + SHARED * axes[used] + noise, dim=1)


@pytest.mark.parametrize("cosine", [0.9, 0.99])
def test_basis_is_the_smallest_that_keeps_what_vectors_do_not_share(cosine: float) -> None:
    vectors = features()
    basis = choose_basis(vectors, cosine)
    torch.testing.assert_close(basis @ basis.T, torch.eye(len(basis)), atol=1e-5, rtol=0)
    mean = vectors.mean(0)

    def kept(directions: torch.Tensor) -> float:
        shadow = (vectors @ directions.T) @ directions
        return float((cosine_similarity(shadow - mean, vectors - mean) >= cosine).float().mean())

    assert kept(basis) >= 0.99 > kept(basis[:-1])
    # One direction alone has a cosine of 0.9 to the vectors themselves: that is what they share.
    assert len(basis) > 3


def test_codes_keep_directions_and_forget_lengths() -> None:
    vectors = features(count=300).view(100, 3, 32)
    basis = choose_basis(vectors.flatten(0, 1), 0.99)
    lengths = torch.rand(100, 3, 1, generator=torch.Generator().manual_seed(1)) + 0.1
    codes = encode((vectors * lengths) @ basis.T, basis)
    assert codes.values.dtype == torch.int8
    assert cosine_similarity(codes.decode(), vectors, dim=2).min() > 0.99
    text = normalize(torch.ones(2, 32), dim=1)
    found = codes.means() @ (text @ basis.T).T
    torch.testing.assert_close(found, (codes.decode() @ text.T).mean(1))


def test_a_point_without_features_has_a_cosine_of_zero_to_everything() -> None:
    basis = torch.eye(4)
    codes = encode(torch.stack((torch.zeros(1, 4), torch.eye(4)[:1])), basis)
    assert (codes.decode()[0] == 0).all()
