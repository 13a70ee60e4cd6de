"""Other words for the same scene: labels rephrased, or joined by labels of things not in it."""

from collections.abc import Sequence
from pathlib import Path

from ovs3d.photos.labels import Label, label_names, named, read_labels, write_labels
from studies.products import changed_scene, key_of
from studies.scenes import Scene
from tools.scenes.vocabulary import BACKGROUNDS, COLORS, KINDS, PATTERNS

REPHRASINGS = (1, 2)
_STRANGERS = ("green star", "white candle", "blue bottle", "red mushroom", "pink hat", "grass")
"""Labels to add; two are taken whose kind no label of the scene names."""
_ADDED = 2


def rephrased(number: int, scene: Scene, work: Path) -> Scene:
    """Return a copy of a scene whose labels keep their names, but are looked for by other words.

    Args:
        number: 1 takes another word for the thing ("yellow sphere"), 2 for colour and pattern as
            well, and the last of its words ("golden yellow sphere").
        scene: labels are of the vocabulary of rendered scenes.
        work: folder for the copy.
    """
    labels = [
        Label(name, (rephrase(name, number),)) for name in label_names(read_labels(scene.classes))
    ]
    return _with_labels(scene, labels, work / f"rephrased_{number}")


def with_strangers(scene: Scene, work: Path) -> Scene:
    """Return a copy of a scene with two more labels, of things that are not in it."""
    labels = read_labels(scene.classes)
    return _with_labels(
        scene, [*labels, *map(named, strangers(label_names(labels)))], work / "more"
    )


def strangers(names: Sequence[str]) -> list[str]:
    """Return labels whose kind none of the scene's labels has."""
    known = {name.split()[-1] for name in names}
    return [text for text in _STRANGERS if text.split()[-1] not in known][:_ADDED]


def rephrase(name: str, number: int) -> str:
    """Say a label of the vocabulary in other words; one without synonyms stays as it is."""
    for background in BACKGROUNDS.values():
        for phrases in (background.ground, background.wall):
            if phrases and phrases[0] == name:
                return phrases[min(number, len(phrases) - 1)]
    color, _, rest = name.partition(" ")
    pattern, _, kind = rest.partition(" ")
    if pattern not in PATTERNS:
        pattern, kind = "", rest
    synonyms = KINDS[kind].synonyms
    kind = synonyms[0] if number == 1 else synonyms[-1]
    if number > 1:
        color = COLORS[color].synonyms[0]
        pattern = PATTERNS[pattern].synonyms[0] if pattern else ""
    return " ".join(word for word in (color, pattern, kind) if word)


def _with_labels(scene: Scene, labels: Sequence[Label], folder: Path) -> Scene:
    key = key_of([str(scene.folder.resolve()), *map(str, labels)])
    return changed_scene(
        scene,
        folder / f"{scene.name}-{key}",
        "segmentations/classes.txt",
        lambda classes: write_labels(classes, labels),
    )
