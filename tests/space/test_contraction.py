import pytest
import torch

from ovs3d.space.contraction import contract, contraction, expand


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ((0.5, -0.25, 1.0), (0.5, -0.25, 1.0)),  # inside: as it is
        ((2.0, 0.0, 0.0), (1.5, 0.0, 0.0)),  # 2 - 1 / 2
        ((0.0, -4.0, 2.0), (0.0, -1.75, 0.875)),  # (2 - 1 / 4) / 4 = 0.4375
        ((1e5, 1e5, -1e5), (2 - 1e-5, 2 - 1e-5, -2 + 1e-5)),
    ],
)
def test_known_points(point: tuple[float, ...], expected: tuple[float, ...]) -> None:
    points = torch.tensor([point], dtype=torch.float64)
    torch.testing.assert_close(contract(points), torch.tensor([expected], dtype=torch.float64))


def test_there_and_back_near_and_far() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(500, 3, generator=generator, dtype=torch.float64)
    points *= torch.logspace(-2, 4, 500, dtype=torch.float64)[:, None]
    contracted = contract(points)
    assert float(contracted.abs().max()) < 2
    torch.testing.assert_close(expand(contracted), points)


def test_the_surface_of_the_cube_is_far_but_finite() -> None:
    corner = expand(torch.tensor([[2.0, -1.0, 0.0], [2.0, 2.0, 2.0]]))
    assert torch.isfinite(corner).all()
    assert float(corner.amax(dim=1).min()) > 1e5


def test_contraction_is_smooth_at_the_inner_box() -> None:
    """Value and slope of `size * contraction(size)` do not jump at 1."""
    size = torch.tensor([1 - 1e-6, 1.0, 1 + 1e-6], dtype=torch.float64)
    mapped = size * contraction(size)
    torch.testing.assert_close(mapped.diff(), size.diff(), rtol=1e-5, atol=0)
