"""What scenes are asked, and how the answers are scored."""

from pathlib import Path

import pytest
import torch

from ovs3d.language.views import PointView
from ovs3d.language.volume import Finding, LanguageVolume
from ovs3d.photos.labels import label_names, read_labels
from studies.asked import PRESENT, Question, questions
from studies.queries import answers, compare, describe, means, page
from studies.scenes import Scene
from tests.project import SCENE, TEST_VIEWS, VAL_VIEWS
from tools.scenes.vocabulary import BACKGROUNDS, KINDS

LABELS = ("red apple", "blue striped mug", "green toy car", "wooden table", "brick wall")


def asked_of(folder: Path, name: str) -> dict[str, list[str]]:
    (folder / "segmentations").mkdir(exist_ok=True)
    (folder / "segmentations" / "classes.txt").write_text("\n".join(LABELS))
    by_group: dict[str, list[str]] = {}
    for question in questions(Scene(name, folder, (), (0,))):
        assert (question.label in LABELS) == (question.group in PRESENT)
        by_group.setdefault(question.group, []).append(question.text)
    return by_group


def test_questions_are_about_what_is_there_and_what_is_not(tmp_path: Path) -> None:
    asked = asked_of(tmp_path, "toy")
    assert asked["names"] == list(LABELS)
    assert asked["synonyms"][:3] == ["red apple fruit", "blue striped cup", "green car"]
    assert asked["other words"][1] == "azure stripy cup"
    absent = set(KINDS) - {"apple", "mug", "toy car"}
    assert set(asked["absent kinds"]) == absent
    assert len(asked["absent objects"]) == len(absent)
    surfaces = {
        name for each in BACKGROUNDS.values() for name in (*each.ground[:1], *each.wall[:1])
    }
    # Wood and bricks are there, in whatever role.
    gone = {"wooden table", "wooden wall", "brick wall"}
    assert set(asked["absent surfaces"]) == surfaces - gone
    assert len(asked["other colours"]) == 3
    assert not set(asked["other colours"]) & set(LABELS)
    assert asked == asked_of(tmp_path, "toy")


def test_things_without_a_label_are_not_asked_for_as_absent(tmp_path: Path) -> None:
    """A scene of the suite that has some is known by its name."""
    hidden = set(asked_of(tmp_path, "toy")["absent kinds"]) - set(
        asked_of(tmp_path, "dev_c")["absent kinds"]
    )
    assert len(hidden) == 2


def test_answers_are_compared_with_masks() -> None:
    """Four points, ten pixels each; the second view shows too little of the thing."""
    count, size = 4, 10
    rows = torch.arange(count).repeat_interleave(size)
    ones = torch.ones(count * size)
    picture = torch.zeros(count, size, 3)
    view = PointView(picture, picture[..., 0] == 0, rows, ones, torch.arange(count * size + 1))
    relevancy = torch.tensor([0.2, 0.9, 0.7, 0.1])
    finding = Finding("a", True, True, 0.97, torch.zeros(3), relevancy >= 0.5, relevancy)
    mask = torch.zeros(count, size, dtype=torch.bool)
    mask[2:] = True
    small = torch.zeros_like(mask)
    small[0] = True
    assert compare(finding, [view, view], [mask, small]) == {"located": [False], "iou": [0.3333]}
    mask[1] = True
    assert compare(finding, [view], [mask]) == {"located": [True], "iou": [0.6667]}


@pytest.mark.slow
def test_a_built_scene_is_asked(built_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(built_project)
    data = Path("data")
    scene = Scene(SCENE, data / "raw" / SCENE, VAL_VIEWS, TEST_VIEWS)
    volume = LanguageVolume.open(data / "lift" / SCENE)
    field = data / "reconstruct" / SCENE / "field.safetensors"
    cameras = data / "poses" / SCENE / "cameras.json"
    labels = list(label_names(read_labels(scene.classes)))
    asked = [Question(label, "names", label) for label in labels]
    *named, sky = answers(
        [*asked, Question("sky", "absent surfaces", None)],
        scene,
        TEST_VIEWS,
        volume,
        field,
        cameras,
        downscale=2,
    )
    assert [answer["text"] for answer in named] == labels
    # The training is short, the model small: no score is high enough, but the places are right.
    assert [answer["located"] for answer in named] == [[True] * len(TEST_VIEWS)] * len(labels)
    assert (sky["text"], sky["label"]) == ("sky", None)
    assert "located" not in sky


def test_page_tells_the_right_answers() -> None:
    answers = [
        {"text": "a", "group": "names", "found": True, "located": [True, True], "iou": [0.5, 0.7]},
        {"text": "b", "group": "names", "found": False, "located": [False], "iou": [0.0]},
        {"text": "c", "group": "absent kinds", "found": True},
        *[{"text": "d", "group": "absent kinds", "found": False}] * 3,
    ]
    scenes = {"toy": describe(answers), "other": describe(answers[:1])}
    wrong = scenes["toy"]["wrong"]
    assert {group: texts for group, texts in wrong.items() if texts} == {
        "names": ["b"],
        "absent kinds": ["c"],
    }
    groups = means(scenes)
    assert groups["names"] == {
        "texts": 3,
        "found": 0.75,
        "located": pytest.approx(0.8333, abs=1e-3),
        "iou": 0.5,
    }
    assert groups["absent kinds"] == {"texts": 4, "found": 0.25}
    written = page({"command": "x", "groups": groups, "scenes": scenes}, "val")
    assert "| names | labels as they are | 3 | 75.0 | 83.3 | 50.0 |" in written
    assert "| absent kinds | the same kinds without a colour | 4 | 75.0 |  |  |" in written
    assert "| toy | 50 |" in written
