"""Nouns of WordNet 3.0: their lemmas, senses and hypernyms, and the ImageNet classes below each."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from timm.data import ImageNetInfo

THINGS = {5, 6, 8, 13, 17, 20, 27}
"""Lexicographer files of what can be seen: animals, artifacts, body, food, objects, plants,
substances."""
TOPS = 3
"""The lexicographer file `noun.Tops`, too general to look for."""


@dataclass(frozen=True)
class WordNet:
    """The noun part.

    Attributes:
        lemmas: synset -> its words, with `_` for a space.
        parents: synset -> its hypernyms.
        files: synset -> number of its lexicographer file.
        senses: word or phrase, with spaces -> its synsets, the most frequent sense first.
        frequency: word -> how often tagged texts use it as a noun.
        adjectives: those that tagged texts use.
    """

    lemmas: dict[int, list[str]]
    parents: dict[int, list[int]]
    files: dict[int, int]
    senses: dict[str, list[int]]
    frequency: dict[str, int]
    adjectives: list[str]

    @cached_property
    def classes(self) -> list[int]:
        """Synsets of ImageNet's 1000 classes in their order."""
        return [int(name[1:]) for name in ImageNetInfo("imagenet-1k").label_names()]

    @cached_property
    def below(self) -> dict[int, set[int]]:
        """Synset -> indices of the classes at or below it; others are missing."""
        found: dict[int, set[int]] = defaultdict(set)
        for index, synset in enumerate(self.classes):
            for above in self.above(synset):
                found[above].add(index)
        return dict(found)

    def above(self, synset: int) -> Iterator[int]:
        """Yield a synset and all its hypernyms."""
        todo, seen = [synset], set()
        while todo:
            each = todo.pop()
            if each not in seen:
                seen.add(each)
                todo += self.parents[each]
                yield each

    def nearest(self, synset: int) -> tuple[set[int], int]:
        """Return the classes below the nearest hypernym that has any, and the steps up to it."""
        level, steps = [synset], 0
        while level:
            found = set().union(*(self.below.get(each, set()) for each in level))
            if found:
                return found, steps
            level, steps = [above for each in level for above in self.parents[each]], steps + 1
        return set(), steps


def read_wordnet(folder: Path) -> WordNet:
    """Read WordNet's files (formats: wndb(5), senseidx(5))."""
    lemmas, parents, files = {}, {}, {}
    for line in _lines(folder / "data.noun"):
        fields = line.split(" | ")[0].split()
        synset, words = int(fields[0]), int(fields[3], 16)
        files[synset] = int(fields[1])
        lemmas[synset] = fields[4 : 4 + 2 * words : 2]
        pointers = fields[5 + 2 * words :]
        # Four fields each: kind, synset, part of speech, and which words.
        each = zip(pointers[::4], pointers[1::4], pointers[2::4], strict=False)
        parents[synset] = [
            int(target) for kind, target, part in each if kind in ("@", "@i") and part == "n"
        ]
    senses = {}
    for line in _lines(folder / "index.noun"):
        fields = line.split()
        senses[fields[0].replace("_", " ")] = [int(each) for each in fields[-int(fields[2]) :]]
    frequency: dict[str, int] = defaultdict(int)
    for line in (folder / "cntlist.rev").read_text().splitlines():
        key, _, count = line.split()
        word, _, sense = key.partition("%")
        if sense.startswith("1"):
            frequency[word.replace("_", " ")] += int(count)
    adjectives = [
        fields[0]
        for fields in map(str.split, _lines(folder / "index.adj"))
        # The field before the synsets says how many of them tagged texts use.
        if fields[0].isalpha() and int(fields[-int(fields[2]) - 1])
    ]
    return WordNet(lemmas, parents, files, senses, frequency, adjectives)


def _lines(file: Path) -> Iterator[str]:
    """Yield the lines of a file but its licence, which is indented."""
    return (line for line in file.read_text().splitlines() if not line.startswith("  "))
