"""Which photos are matched: all with all, neighbours in a sequence, or those that look alike.

Photos that look alike are found by their SIFT descriptors as words of text are (Sivic and Zisserman
2003), over a vocabulary drawn from the photos themselves, so that none has to be downloaded.
"""

from collections.abc import Callable, Iterable
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ovs3d.poses.params import Matching

SEQUENTIAL_OVERLAP = 10
"""So many next photos are matched; `sequential` adds those 2^k frames ahead."""
SIMILAR = 10
"""`auto` adds so many photos per photo that look most like it."""
EXHAUSTIVE_UP_TO = 2 * (SEQUENTIAL_OVERLAP + SIMILAR)
"""Up to so many photos all pairs are no more than neighbours and similar ones would be."""

# Size of the vocabulary.
_WORDS = 1024
# Digits of a similarity that do not depend on the order in which threads add.
_DIGITS = 9

Pairs = list[tuple[int, int]]
Descriptors = Callable[[int], NDArray[np.uint8]]


def photo_pairs(count: int, matching: Matching, descriptors: Descriptors, seed: int) -> Pairs:
    """List the pairs of views that are matched, each once and in order, the smaller index first.

    `auto` takes all pairs of few photos. Of many it takes neighbours in the sorted order and, to
    close loops and because photos may have no order, the most similar ones: at most
    `SEQUENTIAL_OVERLAP + SIMILAR` per photo.

    Args:
        count: number of photos.
        matching: `poses.matching`.
        descriptors: returns the SIFT descriptors `[N, 128]` of a view; called for `auto` only.
        seed: of the choice of words.
    """
    if matching == "exhaustive" or (matching == "auto" and count <= EXHAUSTIVE_UP_TO):
        return list(combinations(range(count), 2))
    near = _pairs_at(range(1, SEQUENTIAL_OVERLAP + 1), count)
    if matching == "sequential":
        far = _pairs_at([1 << k for k in range(count.bit_length())], count)
    else:
        far = _similar_pairs(_word_histograms(count, descriptors, seed))
    return sorted(near | far)


def _pairs_at(distances: Iterable[int], count: int) -> set[tuple[int, int]]:
    return {(view, view + steps) for steps in distances for view in range(count - steps)}


def _word_histograms(count: int, descriptors: Descriptors, seed: int) -> NDArray[np.float64]:
    """Count for each photo how often each word is the nearest to one of its descriptors."""
    generator = np.random.default_rng(seed)
    words = np.concatenate(
        [generator.permutation(descriptors(view))[: -(-_WORDS // count)] for view in range(count)]
    ).astype(np.float32)
    if not len(words):
        return np.zeros((count, 1))
    # Products of descriptors are integers below 2^24: exact, so that no tie depends on threads.
    lengths = (words * words).sum(axis=1)
    histograms = np.zeros((count, len(words)))
    for view in range(count):
        products = descriptors(view).astype(np.float32) @ words.T
        nearest = (lengths - 2 * products).argmin(axis=1)
        histograms[view] = np.bincount(nearest, minlength=len(words))
    return histograms


def _similar_pairs(histograms: NDArray[np.float64]) -> set[tuple[int, int]]:
    """Pair each photo with the most similar ones beyond its neighbours (tf-idf, cosine)."""
    count = len(histograms)
    rarity = np.log(count / (histograms > 0).sum(axis=0).clip(min=1))
    vectors = histograms * rarity
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-12)
    views = np.arange(count)
    pairs = set()
    for view in range(count):
        similarity = np.round(vectors @ vectors[view], _DIGITS)
        similarity[np.abs(views - view) <= SEQUENTIAL_OVERLAP] = -1
        for other in np.argsort(-similarity, kind="stable")[:SIMILAR].tolist():
            pairs.add((min(view, other), max(view, other)))
    return pairs
