"""What phrases mean in terms of ImageNet's classes: a direction in the classifier's space each."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from torch import Tensor
from torch.nn.functional import normalize

from tools.real_encoders.wordnet import THINGS, TOPS, WordNet

_STUFF = Path(__file__).with_name("stuff.yaml")
_MOST_WORDS = 3
_MOST_CLASSES = 150
"""An ancestor with more classes below it says next to nothing."""
_LISTED = 4.0
_A_CLASS = 2.0
_ABOVE_CLASSES = 1.5
_NEAR_CLASSES = 0.5
"""Weights in the fit of the text tower."""


@dataclass(frozen=True)
class Phrase:
    """A phrase, its unit direction [D], and how much it counts in the fit."""

    text: str
    direction: Tensor
    weight: float

    @property
    def visible(self) -> bool:
        """Whether classes stand for it, not only for something like it."""
        return self.weight >= _ABOVE_CLASSES


def make_phrases(
    wordnet: WordNet,
    directions: Tensor,
    listed: Mapping[str, Sequence[int]],
    seen: Mapping[str, Tensor],
) -> list[Phrase]:
    """Give a direction to all nouns that ImageNet's classes or surfaces say something of.

    In this order: what `stuff.yaml` lists, what names a surface, or the mean of both; names of
    classes and of what stands above some; heads of class names ("shark" of "tiger shark"); things
    whose nearest ancestor has few classes below.

    Args:
        wordnet: with the 1000 classes.
        directions: [1000, D] unit vectors.
        listed: from `read_stuff`.
        seen: from `surface_directions`.
    """
    heads = _heads(wordnet)
    texts = {lemma: senses for lemma, senses in wordnet.senses.items() if _plain(lemma)}
    found = []
    for text in {**dict.fromkeys(listed), **dict.fromkeys(seen), **texts}:
        both = [_mean(directions, listed[text])] if text in listed else []
        both += [seen[text]] if text in seen else []
        if both:
            direction, weight = normalize(sum(both, torch.zeros_like(both[0])), dim=0), _LISTED
        elif (named := _named(wordnet, directions, texts[text])) is not None:
            direction, weight = named
        elif text in heads:
            direction, weight = _mean(directions, heads[text]), _ABOVE_CLASSES
        else:
            things = [each for each in texts[text] if wordnet.files[each] in THINGS]
            if not things or not wordnet.frequency.get(text):
                continue
            classes, steps = wordnet.nearest(things[0])
            if not classes or len(classes) > _MOST_CLASSES:
                continue
            direction, weight = _mean(directions, classes), _NEAR_CLASSES / steps
        found.append(Phrase(text, direction, weight))
    return found


def read_stuff(wordnet: WordNet) -> Mapping[str, list[int]]:
    """Read `stuff.yaml`: phrase -> indices of classes."""
    index = {
        wordnet.lemmas[synset][0].replace("_", " "): number
        for number, synset in reversed(list(enumerate(wordnet.classes)))
    }
    content = yaml.safe_load(_STUFF.read_text())
    return {phrase: [index[name] for name in names] for phrase, names in content.items()}


def _named(
    wordnet: WordNet, directions: Tensor, senses: Iterable[int]
) -> tuple[Tensor, float] | None:
    """Return the mean over senses that are classes or above some; frequent senses count more."""
    classes, total, is_class = set(wordnet.classes), torch.zeros_like(directions[0]), False
    for rank, synset in enumerate(senses):
        if synset in wordnet.below and wordnet.files[synset] != TOPS:
            weight = _LISTED if synset in classes else 1 / (1 + rank)
            is_class |= synset in classes
            total = total + weight * _mean(directions, wordnet.below[synset])
    if not total.any():
        return None
    return normalize(total, dim=0), _A_CLASS if is_class else _ABOVE_CLASSES


def _heads(wordnet: WordNet) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for number, synset in enumerate(wordnet.classes):
        for lemma in wordnet.lemmas[synset]:
            words = lemma.lower().split("_")
            for start in range(1, len(words)):
                found.setdefault(" ".join(words[start:]), set()).add(number)
    return found


def _mean(directions: Tensor, classes: Iterable[int]) -> Tensor:
    return normalize(directions[sorted(classes)].mean(0), dim=0)


def _plain(lemma: str) -> bool:
    return len(lemma.split()) <= _MOST_WORDS and re.search(r"[^a-z' -]", lemma) is None
