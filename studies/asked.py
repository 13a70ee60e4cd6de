"""What is asked of a scene: names, synonyms, and things of the vocabulary that are not there."""

from collections.abc import Sequence
from dataclasses import dataclass

from ovs3d.photos.labels import label_names, read_labels
from studies.scenes import Scene
from studies.words import rephrase
from tools.scenes.recipe import shoot
from tools.scenes.suite import RECIPES
from tools.scenes.vocabulary import BACKGROUNDS, COLORS, KINDS, PATTERNS, object_label

GROUPS = {
    "names": "labels as they are",
    "synonyms": "another word for the thing",
    "other words": "other words for colour and pattern too",
    "absent objects": "a kind that is not there, in a colour",
    "absent kinds": "the same kinds without a colour",
    "absent surfaces": "grounds and walls that are not there",
    "other colours": "a thing that is there, in a colour in which it is not",
}
PRESENT = ("names", "synonyms", "other words")


@dataclass(frozen=True)
class Question:
    """A text, its group, and the label whose masks are the answer; None: it is not there."""

    text: str
    group: str
    label: str | None


def questions(scene: Scene) -> list[Question]:
    """Return what is asked of a scene, always the same."""
    labels = label_names(read_labels(scene.classes))
    asked = [Question(label, "names", label) for label in labels]
    for group, number in (("synonyms", 1), ("other words", 2)):
        others = ((rephrase(label, number), label) for label in labels)
        asked += [Question(text, group, label) for text, label in others if text != label]
    kinds = [_kind(label) for label in labels]
    hidden = _unnamed(scene.name)
    absent = [kind for kind in KINDS.values() if kind.name not in (*kinds, *hidden)]
    for index, kind in enumerate(absent):
        color = kind.colors[index % len(kind.colors)]
        painted = object_label(kind.name, color, kind.patterns[index % len(kind.patterns)])
        asked.append(Question(painted, "absent objects", None))
        asked.append(Question(kind.name, "absent kinds", None))
    for surface in BACKGROUNDS.values():
        if not {*surface.ground, *surface.wall} & set(labels):
            phrases = (surface.ground[:1], surface.wall[:1])
            asked += [Question(text, "absent surfaces", None) for each in phrases for text in each]
    return [*asked, *_recoloured(labels, hidden)]


def _recoloured(labels: Sequence[str], hidden: Sequence[str]) -> list[Question]:
    asked = []
    for index, label in enumerate(labels):
        kind, color = _kind(label), label.partition(" ")[0]
        if kind not in KINDS or kind in hidden:
            continue
        taken = {other.partition(" ")[0] for other in labels if _kind(other) == kind}
        free = [each for each in KINDS[kind].colors if each not in taken]
        if free:
            text = label.replace(color, free[index % len(free)], 1)
            asked.append(Question(text, "other colours", None))
    return asked


def _kind(label: str) -> str:
    """Return the kind of an object's label; of a surface's, the label."""
    words = label.split()
    start = 1 if words[0] in COLORS else 0
    start += len(words) > start and words[start] in PATTERNS
    return " ".join(words[start:])


def _unnamed(scene: str) -> list[str]:
    """Return the kinds of things that stand in a scene of the suite, but have no label."""
    recipes = [recipe for recipe in RECIPES if recipe.name == scene]
    return [each.kind for recipe in recipes for each in shoot(recipe).scene.unnamed]
