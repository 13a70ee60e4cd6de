import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tools.scenes.darkroom import Darkroom
from tools.scenes.digests import RECORDED, changed, scene_digest, scene_files, write_summary
from tools.scenes.recipe import Recipe, shoot
from tools.scenes.spec import UNNAMED, solid_of
from tools.scenes.suite import RECIPES
from tools.scenes.writing import write_masks, write_words

BY_NAME = {recipe.name: recipe for recipe in RECIPES}
DOCUMENT = Path(__file__).parents[2] / "docs" / "suite.md"


@pytest.fixture(params=RECIPES, ids=lambda recipe: recipe.name)
def recipe(request: pytest.FixtureRequest) -> Recipe:
    chosen: Recipe = request.param
    return chosen


def _documented() -> dict[str, list[str]]:
    rows = [line for line in DOCUMENT.read_text(encoding="utf-8").split("\n") if line[:2] == "| "]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {row[0]: row[1:] for row in cells[1:]}


def test_the_document_names_every_scene() -> None:
    assert list(_documented()) == [recipe.name for recipe in RECIPES]


def test_scenes_are_as_documented(recipe: Recipe) -> None:
    shot = shoot(recipe)
    split, cameras, size, views, labels, objects, _, val, test = _documented()[recipe.name]
    assert recipe.split == split
    assert cameras == ("ring" if recipe.around else "forward-facing")
    assert size == f"{shot.views[0].width}x{shot.views[0].height}"
    assert int(views) == len(shot.views)
    assert int(labels) == len(shot.scene.labels)
    assert int(objects) == len(shot.scene.objects) + len(shot.scene.unnamed)
    assert val == ", ".join(map(str, recipe.val_views))
    assert test == ", ".join(map(str, recipe.test_views))


def test_descriptions_are_deterministic(recipe: Recipe) -> None:
    again = shoot.__wrapped__(recipe)
    assert again.scene == shoot(recipe).scene
    for view, other in zip(again.views, shoot(recipe).views, strict=True):
        np.testing.assert_array_equal(view.world_from_camera, other.world_from_camera)


def test_there_are_five_to_fourteen_labels_that_name_something(recipe: Recipe) -> None:
    scene = shoot(recipe).scene
    assert 5 <= len(scene.labels) <= 14
    assert len(scene.labels) == recipe.labels + 2
    assert {scene.number(entity) for entity in scene.entities} == set(
        range(1, len(scene.labels) + 1)
    )


def test_unnamed_things_are_of_kinds_that_no_label_names(recipe: Recipe) -> None:
    scene = shoot(recipe).scene
    assert len(scene.unnamed) == recipe.unnamed
    assert not {thing.kind for thing in scene.unnamed} & {thing.kind for thing in scene.objects}
    assert all(scene.number(thing) == UNNAMED for thing in scene.unnamed)


def test_objects_do_not_stand_in_each_other(recipe: Recipe) -> None:
    scene = shoot(recipe).scene
    for one, other in combinations((*scene.objects, *scene.unnamed), 2):
        apart = np.hypot(one.x - other.x, one.y - other.y)
        radii = [solid_of(thing.kind, thing.scale).radius for thing in (one, other)]
        assert apart > sum(radii)


def test_views_to_choose_by_and_to_report_on_are_spread_and_apart(recipe: Recipe) -> None:
    assert len(recipe.val_views) == 3
    assert len(recipe.test_views) == 4
    held_out = sorted((*recipe.val_views, *recipe.test_views))
    assert held_out == list(shoot(recipe).masked)
    assert np.ptp(np.diff(held_out)) <= 1


def test_both_halves_have_rings_and_labels_that_differ_in_paint_only() -> None:
    rings = [recipe.split for recipe in RECIPES if recipe.around]
    assert rings.count("dev") >= 1
    assert rings.count("test") >= 3
    assert {recipe.split for recipe in RECIPES if recipe.alike} == {"dev", "test"}


def test_digests_name_all_scenes() -> None:
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert list(recorded) == [recipe.name for recipe in RECIPES]


def test_a_summary_tells_whole_and_changed_scenes(tmp_path: Path) -> None:
    recipe = BY_NAME["dev_a"]
    for name in scene_files(recipe):
        path = tmp_path / recipe.name / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    write_summary(tmp_path)
    summary = json.loads((tmp_path / "suite.json").read_text())
    assert list(summary) == ["dev_a"]
    assert summary["dev_a"]["test_views"] == list(recipe.test_views)
    assert changed(tmp_path, "dev_a")

    before = scene_digest(tmp_path / "dev_a", scene_files(recipe))
    (tmp_path / "dev_a" / "images" / "003.jpg").write_text("another")
    assert scene_digest(tmp_path / "dev_a", scene_files(recipe)) != before


def test_copies_share_a_mask_and_unnamed_things_have_none(tmp_path: Path) -> None:
    shot = shoot(BY_NAME["dev_c"])
    write_words(tmp_path, shot)
    words = (tmp_path / "segmentations" / "classes.txt").read_text().split("\n")
    assert tuple(words[:-1]) == shot.scene.labels
    numbers = np.full((4, 6), UNNAMED, np.uint8)
    numbers[:, :2], numbers[:, 2] = shot.scene.number(shot.scene.objects[-1]), 9
    (tmp_path / "truth" / "labels").mkdir(parents=True)
    Image.fromarray(numbers).save(tmp_path / "truth" / "labels" / "002.png")
    write_masks(tmp_path, 2, shot.scene)
    masks = {
        path.stem: np.asarray(Image.open(path))
        for path in (tmp_path / "segmentations" / "02").iterdir()
    }
    assert set(masks) == set(shot.scene.labels)
    assert (masks[shot.scene.objects[-1].label] == 255).sum() == 8
    assert sum((mask == 255).sum() for mask in masks.values()) == 12


def test_held_out_photos_vary_less_and_photos_of_one_seed_are_equal() -> None:
    grey = np.full((8, 8, 3), 120, np.uint8)
    camera = Darkroom(exposure=0.5, warmth=0.3)
    levels = {
        held_out: [
            np.asarray(camera.develop(grey, (1, view), held_out)).mean() for view in range(40)
        ]
        for held_out in (False, True)
    }
    assert 0.4 < np.std(levels[True]) / np.std(levels[False]) < 0.6
    assert camera.develop(grey, (1, 2), False) == camera.develop(grey, (1, 2), False)


def test_a_camera_without_faults_changes_nothing() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(Darkroom().develop(pixels, (1,), False)), pixels)
