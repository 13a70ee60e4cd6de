"""Captions for crops: true phrases about an entity in varied wording."""

from dataclasses import dataclass

import numpy as np

from tools.models.scenes import Entity

TEMPLATES = ("a {}", "the {}", "a photo of a {}", "a picture of a {}", "a close-up of a {}")
BARE_SHARE = 0.6
LABEL_SHARE = 0.4

_TAILS = {"striped": "with stripes", "dotted": "with dots", "checkered": "with checks"}


@dataclass(frozen=True)
class Caption:
    """A caption and the phrase within it, which decides what the caption is true of."""

    text: str
    phrase: str


def true_phrases(entity: Entity) -> tuple[str, ...]:
    """Return the phrases of an entity, its label first, with "mug with stripes" forms added."""
    tailed = [
        f"{phrase.replace(f' {word} ', ' ')} {tail}"
        for phrase in entity.phrases
        for word, tail in _TAILS.items()
        if entity.is_object and f" {word} " in phrase
    ]
    return (*entity.phrases, *tailed)


def draw_caption(phrases: tuple[str, ...], rng: np.random.Generator) -> Caption:
    """Draw one caption: often the plain label, which is what labels look like in use."""
    phrase = phrases[0] if rng.random() < LABEL_SHARE else phrases[rng.integers(len(phrases))]
    if rng.random() < BARE_SHARE:
        return Caption(phrase, phrase)
    return Caption(TEMPLATES[rng.integers(len(TEMPLATES))].format(phrase), phrase)


def truth_matrix(names: list[tuple[str, ...]], captions: list[Caption]) -> np.ndarray:
    """Return which caption is true of which crop: (crops, captions) bool.

    "mug" is true of every mug and "red mug" of a red striped one, so a caption may be true of
    many crops of a batch.
    """
    known: dict[tuple[str, ...], np.ndarray] = {}
    for phrases in names:
        if phrases not in known:
            true = frozenset(phrases)
            known[phrases] = np.array([caption.phrase in true for caption in captions])
    return np.stack([known[phrases] for phrases in names])
