"""Scenes that are built as far as they are."""

from pathlib import Path

import pytest

from ovs3d.errors import StoreError
from ovs3d.viewer.scene import OpenScene, view_folder
from tests.damage import truncate
from tests.viewer.builders import LABELS, NAME, write_scene


@pytest.mark.usefixtures("project")
def test_a_scene_without_cameras_cannot_be_shown() -> None:
    with pytest.raises(
        StoreError, match=r"cameras\.json: not built yet; run `dvc repro poses@demo`"
    ):
        OpenScene(NAME)


@pytest.mark.usefixtures("project")
def test_an_unknown_scene_is_told_with_the_nearest_known_one() -> None:
    with pytest.raises(StoreError, match=r"no scene 'dem' .*demo"):
        OpenScene("dem")


@pytest.mark.usefixtures("project")
def test_cameras_alone_are_shown_and_the_rest_is_named() -> None:
    write_scene(("poses",))
    scene = OpenScene(NAME)
    scene.prepare().join()
    assert scene.layers == ["colours", "depth"]
    assert len(scene.surface.splats) == 0
    assert scene.baking == 1
    text = "\n".join(scene.missing)
    for what in ("images", "distill@demo", "reconstruct@demo", "poses@demo"):
        assert what in text


@pytest.mark.usefixtures("project")
def test_a_field_is_shown_before_distillation() -> None:
    write_scene(("poses", "images", "reconstruct"))
    scene = OpenScene(NAME)
    assert scene.layers == ["colours", "depth"]
    assert len(scene.surface.splats) > 100
    assert len(scene.missing) == 1
    assert "distill@demo" in scene.missing[0]


def test_baking_ends_with_the_viewer(opened: OpenScene) -> None:
    opened.close()
    opened.prepare().join()
    assert opened.baking < 1
    assert not (view_folder(NAME) / "splats.safetensors").exists()


def test_labels_come_with_the_segmentation(opened: OpenScene) -> None:
    assert opened.labels == LABELS
    assert opened.layers == ["colours", "labels", "depth"]
    assert opened.missing == []
    opened.prepare().join()
    assert len(opened.missing) == 1
    assert "lift@demo" in opened.missing[0]


@pytest.mark.usefixtures("project")
def test_a_damaged_segmentation_is_told_and_the_field_is_shown() -> None:
    write_scene(("poses", "images", "reconstruct", "distill"))
    truncate(Path("data/distill") / NAME / "segmentation.safetensors", 0)
    scene = OpenScene(NAME)
    assert scene.layers == ["colours", "depth"]
    assert "segmentation.safetensors: damaged" in scene.missing[0]


def test_the_surface_is_baked_once_and_then_read(opened: OpenScene) -> None:
    first = len(opened.surface.splats)
    told: list[float] = []
    stop = opened.on_change(lambda: told.append(opened.baking))
    opened.prepare().join()
    assert len(opened.surface.splats) > first
    assert told == sorted(told)
    assert told[-1] == 1
    stop()
    again = OpenScene(NAME)
    assert again.baking == 1
    assert len(again.surface.splats) == len(opened.surface.splats)


def test_other_cameras_need_another_surface(opened: OpenScene) -> None:
    opened.prepare().join()
    path = Path("data/poses") / NAME / "cameras.json"
    path.write_text(path.read_text() + "\n")
    assert OpenScene(NAME).baking == 0


def test_a_surface_that_cannot_be_kept_is_shown_all_the_same(opened: OpenScene) -> None:
    view_folder(NAME).parent.mkdir(exist_ok=True)
    view_folder(NAME).write_text("a file where a folder should be")
    opened.prepare().join()
    assert opened.baking == 1
    assert "not kept for the next time" in opened.missing[-1]
