"""The guided filter, against its definition and for what it is used for."""

import numpy as np
import pytest
import torch

from ovs3d.distill.guided_filter import guided_filter


def by_definition(guide: np.ndarray, maps: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """A ridge regression in every window, then the mean over the windows that hold a pixel."""
    height, width = maps.shape[1:]
    sums, counts = np.zeros(maps.shape), np.zeros((height, width))
    own = np.zeros((height, width, len(guide) + 1, len(maps)))

    def around(y: int, x: int) -> tuple[slice, slice]:
        rows = slice(max(0, y - radius), y + radius + 1)
        return rows, slice(max(0, x - radius), x + radius + 1)

    for y in range(height):
        for x in range(width):
            window = around(y, x)
            colours = guide[:, *window].reshape(len(guide), -1).T
            values = maps[:, *window].reshape(len(maps), -1).T
            middle = colours - colours.mean(0)
            ridge = middle.T @ middle + len(colours) * epsilon * np.eye(len(guide))
            slope = np.linalg.solve(ridge, middle.T @ (values - values.mean(0)))
            own[y, x, :-1] = slope
            own[y, x, -1] = values.mean(0) - colours.mean(0) @ slope
    for y in range(height):
        for x in range(width):
            rows, columns = around(y, x)
            colour = np.append(guide[:, y, x], 1.0)
            fits = own[rows, columns].reshape(-1, len(guide) + 1, len(maps))
            sums[:, y, x] = (colour @ fits).sum(0)
            counts[y, x] = len(fits)
    return np.asarray(sums / counts)


@pytest.mark.parametrize(("radius", "epsilon"), [(1, 1e-2), (3, 1e-4)])
def test_follows_its_definition(radius: int, epsilon: float) -> None:
    generator = torch.Generator().manual_seed(0)
    guide = torch.rand(3, 9, 7, generator=generator, dtype=torch.float64)
    maps = torch.rand(2, 9, 7, generator=generator, dtype=torch.float64)
    expected = by_definition(guide.numpy(), maps.numpy(), radius, epsilon)
    found = guided_filter(guide, maps, radius, epsilon).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_probabilities_still_sum_to_one() -> None:
    generator = torch.Generator().manual_seed(1)
    guide = torch.rand(3, 12, 15, generator=generator)
    maps = torch.rand(5, 12, 15, generator=generator).softmax(0)
    filtered = guided_filter(guide, maps, 2, 1e-3)
    torch.testing.assert_close(filtered.sum(0), torch.ones(12, 15), atol=1e-4, rtol=0)


def test_a_blurred_edge_moves_to_that_of_the_photo() -> None:
    photo = torch.full((3, 16, 32), 0.2)
    photo[:, :, 14:] = torch.tensor([0.8, 0.6, 0.2])[:, None, None]
    # What windows say: a ramp whose middle lies 2 pixels beside the edge.
    right = ((torch.arange(32) - 16.0) / 8 + 0.5).clamp(0, 1).expand(16, -1)
    maps = torch.stack((1 - right, right))
    best = guided_filter(photo, maps, 6, 1e-4).argmax(0)
    assert maps.argmax(0)[8].tolist() != (torch.arange(32) >= 14).long().tolist()
    assert best[8].tolist() == (torch.arange(32) >= 14).long().tolist()
