"""Which photos are matched: complete for few, linear for many, loops closed by what photos show."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from ovs3d.poses.pairs import (
    EXHAUSTIVE_UP_TO,
    SEQUENTIAL_OVERLAP,
    SIMILAR,
    Descriptors,
    photo_pairs,
)
from ovs3d.poses.params import Matching


def unseen(view: int) -> NDArray[np.uint8]:
    raise AssertionError(f"descriptors of view {view} were read")


def along_a_path(places: NDArray[np.int64]) -> Descriptors:
    """Photos at places of a path: each sees the landmarks of its place and of the next few."""
    landmarks = np.random.default_rng(0).integers(0, 200, (places.max() + 8, 12, 128))

    def descriptors(view: int) -> NDArray[np.uint8]:
        place = places[view]
        noise = np.random.default_rng(view).integers(-8, 9, (96, 128))
        return (landmarks[place : place + 8].reshape(96, 128) + noise).clip(0, 255).astype(np.uint8)

    return descriptors


@pytest.mark.parametrize("matching", ["exhaustive", "auto"])
def test_few_photos_are_matched_with_all_others_once(matching: Matching) -> None:
    pairs = photo_pairs(4, matching, unseen, 0)
    assert pairs == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]


def test_sequential_pairs_are_neighbours_and_powers_of_two() -> None:
    pairs = photo_pairs(100, "sequential", unseen, 0)
    assert [second for first, second in pairs if first == 20] == [*range(21, 31), 36, 52, 84]
    assert all(first < second < 100 for first, second in pairs)
    assert len(set(pairs)) == len(pairs)


@pytest.mark.parametrize("count", [EXHAUSTIVE_UP_TO + 1, 100, 200])
def test_number_of_pairs_of_many_photos_is_linear(count: int) -> None:
    pairs = photo_pairs(count, "auto", along_a_path(np.arange(count)), 0)
    assert len(pairs) <= count * (SEQUENTIAL_OVERLAP + SIMILAR)
    assert pairs == sorted(set(pairs))
    assert all(0 <= first < second < count for first, second in pairs)


def test_a_path_that_returns_is_closed() -> None:
    there = np.arange(60)
    pairs = set(photo_pairs(120, "auto", along_a_path(np.concatenate([there, there])), 0))
    assert all((view, view + 60) in pairs for view in range(60))


def test_photos_in_no_order_are_matched_with_those_of_their_place() -> None:
    places = np.random.default_rng(1).permutation(80)
    pairs = set(photo_pairs(80, "auto", along_a_path(places), 0))
    views = np.argsort(places).tolist()
    neighbours = [(min(a, b), max(a, b)) for a, b in pairwise(views)]
    assert pairs.issuperset(neighbours)


def test_photos_without_a_single_point_are_matched_as_well() -> None:
    empty = np.zeros((0, 128), dtype=np.uint8)
    pairs = photo_pairs(60, "auto", lambda _: empty, 0)
    assert {(view, view + 1) for view in range(59)} <= set(pairs)
