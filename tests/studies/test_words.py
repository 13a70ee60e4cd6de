"""Scenes under other labels."""

from pathlib import Path

import pytest

from ovs3d.photos.labels import label_names, named, read_labels, write_labels
from studies.scenes import Scene
from studies.words import rephrase, rephrased, strangers, with_strangers
from tests.synthetic import SyntheticScene, write_scene
from tools.scenes.vocabulary import BACKGROUNDS, KINDS, object_label


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("red apple", "red apple fruit", "crimson apple fruit"),
        ("blue dotted gift box", "blue dotted present", "azure spotted gift"),
        ("blue toy rocket", "blue rocket", "azure spaceship"),
        ("wooden table", "wood", "wood"),
        ("pebbles", "stones", "gravel"),
    ],
)
def test_labels_are_rephrased_by_synonyms(name: str, first: str, second: str) -> None:
    assert (rephrase(name, 1), rephrase(name, 2)) == (first, second)


def test_every_label_of_the_vocabulary_can_be_rephrased() -> None:
    names = [
        object_label(kind.name, color, "plain") for kind in KINDS.values() for color in ["red"]
    ]
    names += [
        phrases[0]
        for background in BACKGROUNDS.values()
        for phrases in (background.ground, background.wall)
        if phrases
    ]
    for name in names:
        assert rephrase(name, 1) != name


def test_strangers_are_of_kinds_that_the_scene_has_not() -> None:
    assert strangers(["red apple"]) == ["green star", "white candle"]
    assert strangers(["blue star", "grass"]) == ["white candle", "blue bottle"]


def test_a_scene_keeps_photos_and_masks_under_other_labels(
    scene: SyntheticScene, tmp_path: Path
) -> None:
    write_scene(scene, tmp_path / "scene", masked_views=(1,))
    names = ("red apple", "brick wall")
    original = Scene("scene", tmp_path / "scene", (), (1,))
    write_labels(original.classes, map(named, names))
    other = rephrased(2, original, tmp_path / "work")
    assert [str(label) for label in read_labels(other.classes)] == [
        "red apple = crimson apple fruit",
        "brick wall = bricks",
    ]
    more = with_strangers(original, tmp_path / "work")
    assert label_names(read_labels(more.classes)) == (*names, "green star", "white candle")
    for copy in (other, more):
        for part in ("images", "segmentations/01"):
            files = [path.name for path in (copy.folder / part).iterdir()]
            assert sorted(files) == sorted(p.name for p in (original.folder / part).iterdir())
    # Made once: what is there is taken.
    assert rephrased(2, original, tmp_path / "work") == other
    assert label_names(read_labels(original.classes)) == names
