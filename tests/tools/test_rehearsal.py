import pytest

from tools.scenes.rehearsal import rehearsal
from tools.scenes.spec import describe

SIZE = (480, 360)


def test_a_seed_gives_the_same_scene_and_cameras() -> None:
    first, second = rehearsal(5, SIZE, 2), rehearsal(5, SIZE, 2)
    assert first.scene == second.scene
    for one, other in zip(first.views, second.views, strict=True):
        assert one.record() == other.record()


@pytest.mark.parametrize("seed", range(12))
def test_labels_differ_and_are_numbered_in_order(seed: int) -> None:
    scene = rehearsal(seed, SIZE, 2).scene
    assert len(set(scene.labels)) == len(scene.entities)
    numbers = [record["index"] for record in describe(scene)]
    assert numbers == list(range(1, len(scene.entities) + 1))


@pytest.mark.slow
def test_scenes_vary_in_what_real_ones_vary_in() -> None:
    shoots = [rehearsal(seed, SIZE, 1) for seed in range(40)]
    scenes = [shoot.scene for shoot in shoots]
    assert {scene.enclosed for scene in scenes} == {False, True}
    assert {(shoot.views[0].width, shoot.views[0].height) for shoot in shoots} == {SIZE, SIZE[::-1]}
    surfaces = [surface for scene in scenes for surface in (scene.ground, scene.wall)]
    assert any(surface.plain for surface in surfaces)
    assert any(surface.contrast < 0.6 for surface in surfaces)
    scales = [thing.scale for scene in scenes for thing in scene.objects]
    assert min(scales) < 0.5
    assert max(scales) > 1.4
