import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn.functional import cosine_similarity

from benchmarks.naive.windows import dense_map
from ovs3d.features.window_features import WindowFeatures
from ovs3d.features.windows import Lattice, lattice, windows
from tests.devices import elsewhere

WIDTH, HEIGHT, DIM = 64, 48, 12
DIVISORS = (3, 5)
STRIDES = 4
VIEWS = (2, 5, 9)


def make_windows() -> tuple[NDArray[np.float16], NDArray[np.int16]]:
    boxes = np.stack(
        [
            np.concatenate(
                [
                    windows(WIDTH, HEIGHT, divisor, STRIDES, [view, scale])
                    for scale, divisor in enumerate(DIVISORS)
                ]
            )
            for view in VIEWS
        ]
    )
    vectors = np.random.default_rng(0).normal(size=(*boxes.shape[:2], DIM))
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors.astype(np.float16), boxes


@pytest.fixture(scope="module", params=[None, 0.2, 0.05])
def sigma(request: pytest.FixtureRequest) -> float | None:
    found: float | None = request.param
    return found


@pytest.fixture(scope="module")
def features(sigma: float | None) -> WindowFeatures:
    embeddings, boxes = make_windows()
    lattices = [lattice(WIDTH, HEIGHT, divisor, STRIDES) for divisor in DIVISORS]
    tensors = torch.from_numpy(embeddings), torch.from_numpy(boxes)
    return WindowFeatures(VIEWS, (WIDTH, HEIGHT), lattices, *tensors, sigma)


@pytest.fixture(scope="module")
def oracle(sigma: float | None) -> torch.Tensor:
    """[V, height, width, N_s, D] float64."""
    embeddings, boxes = make_windows()
    lattices = [lattice(WIDTH, HEIGHT, divisor, STRIDES) for divisor in DIVISORS]
    parts = slice(lattices[0].count), slice(lattices[0].count, None)

    def scale_map(row: int, squares: Lattice, part: slice) -> NDArray[np.float64]:
        deviation = None if sigma is None else sigma * squares.size
        found: NDArray[np.float64] = dense_map(
            embeddings[row][part], boxes[row][part], WIDTH, HEIGHT, deviation=deviation
        )
        return found

    views = [
        np.stack([scale_map(row, *each) for each in zip(lattices, parts, strict=True)], axis=2)
        for row in range(len(VIEWS))
    ]
    return torch.from_numpy(np.stack(views))


def test_gather_equals_the_naive_dense_map_at_every_pixel(
    features: WindowFeatures, oracle: torch.Tensor
) -> None:
    rows, ys, xs = (
        axis.flatten()
        for axis in torch.meshgrid(
            torch.arange(len(VIEWS)), torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij"
        )
    )
    gathered = features.gather(torch.tensor(VIEWS)[rows], ys, xs)
    expected = oracle.flatten(0, 2)
    assert gathered.dtype == torch.float32
    torch.testing.assert_close(gathered.double(), expected, atol=5e-4, rtol=0)
    assert cosine_similarity(gathered.double(), expected, dim=-1).min() > 1 - 1e-6


def test_gather_takes_pixels_of_mixed_views_in_any_order(
    features: WindowFeatures, oracle: torch.Tensor
) -> None:
    gathered = features.gather(
        torch.tensor([9, 2, 9]), torch.tensor([47, 0, 13]), torch.tensor([63, 0, 40])
    )
    expected = torch.stack([oracle[2, 47, 63], oracle[0, 0, 0], oracle[2, 13, 40]])
    torch.testing.assert_close(gathered.double(), expected, atol=2e-4, rtol=0)


def test_gather_of_no_pixels_is_empty(features: WindowFeatures) -> None:
    none = torch.empty(0, dtype=torch.int64)
    assert features.gather(none, none, none).shape == (0, len(DIVISORS), DIM)


@pytest.mark.parametrize("view", [3, 11])
def test_gather_of_a_view_without_windows_fails(features: WindowFeatures, view: int) -> None:
    zero = torch.tensor([0])
    with pytest.raises(IndexError):
        features.gather(torch.tensor([view]), zero, zero)


def test_relevancy_is_the_cosine_of_text_and_pixel_mean(
    features: WindowFeatures, oracle: torch.Tensor
) -> None:
    text = torch.nn.functional.normalize(torch.randn(3, DIM, generator=torch.Generator()), dim=-1)
    maps = features.relevancy(5, text)
    expected = cosine_similarity(text.double()[:, None, None, None], oracle[1][None], dim=-1)
    assert maps.shape == (3, len(DIVISORS), HEIGHT, WIDTH)
    torch.testing.assert_close(maps.double(), expected.permute(0, 3, 1, 2), atol=1e-3, rtol=0)


def test_gather_is_exact_at_the_far_corner_of_the_largest_image() -> None:
    squares = lattice(32767, 8, 1, 1)
    boxes = torch.from_numpy(windows(32767, 8, 1, 1, [0]))[None]
    embeddings = torch.eye(boxes.shape[1], dtype=torch.float16)[None]
    features = WindowFeatures((0,), (32767, 8), [squares], embeddings, boxes)
    ys, xs = torch.tensor([7, 0, 4]), torch.tensor([32766, 0, 32751])
    gathered = features.gather(torch.zeros_like(ys), ys, xs)[:, 0]
    left, upper, right, lower = boxes[0].unbind(dim=1)
    for pixel, y, x in zip(gathered, ys, xs, strict=True):
        covers = (left <= x) & (x < right) & (upper <= y) & (y < lower)
        torch.testing.assert_close(pixel, covers / covers.sum())


def test_gathering_elsewhere_gives_what_the_cpu_gives(
    features: WindowFeatures, sigma: float | None
) -> None:
    embeddings, boxes = map(torch.from_numpy, make_windows())
    lattices = [lattice(WIDTH, HEIGHT, divisor, STRIDES) for divisor in DIVISORS]
    views, ys, xs = torch.tensor([2, 9, 5]), torch.tensor([0, 47, 20]), torch.tensor([0, 63, 31])
    text = torch.nn.functional.normalize(embeddings[0, :2].float(), dim=-1)
    with elsewhere() as device:
        there = WindowFeatures(
            VIEWS, (WIDTH, HEIGHT), lattices, embeddings.to(device), boxes.to(device), sigma
        )
        pixels = there.gather(views.to(device), ys.to(device), xs.to(device))
        relevancy = there.relevancy(5, text.to(device))
        assert pixels.device == relevancy.device == device
        pixels, relevancy = pixels.cpu(), relevancy.cpu()
    torch.testing.assert_close(pixels, features.gather(views, ys, xs))
    torch.testing.assert_close(relevancy, features.relevancy(5, text))
