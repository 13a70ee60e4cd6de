"""Folders of real scenes, taken as new-scene takes them."""

from pathlib import Path

import pytest

from ovs3d.errors import SceneError
from studies.real import import_scenes
from studies.settings import make_params
from tests.synthetic import SyntheticScene, write_scene


@pytest.mark.usefixtures("project")
def test_real_scenes_get_what_new_scene_would_write(
    scene: SyntheticScene, tmp_path: Path, project: Path
) -> None:
    write_scene(scene, tmp_path / "real" / "desk", masked_views=(1, 4))
    local = project / "data" / "weights" / "real"
    local.mkdir(parents=True)
    (local / "params.yaml").write_text("dino_features: {model: mine.json, final_norm: false}\n")
    [found] = import_scenes(tmp_path / "real", tmp_path / "work", "photos")
    assert (found.name, found.val_views, found.test_views) == ("desk", (), (1, 4))
    assert len(list(found.images.iterdir())) == 6
    params = make_params(found, "photos", {}, 0, tmp_path / "params.yaml")
    # Photos of 96 x 72 are far smaller than those that the preset is for.
    assert params.stages.distill.downscale == 1
    assert params.stages.dino_features.model == "mine.json"
    assert not params.stages.dino_features.final_norm
    changed = make_params(found, "photos", {"distill.downscale": 3}, 0, tmp_path / "params.yaml")
    assert changed.stages.distill.downscale == 3


def test_a_folder_without_scenes_is_told(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="no folders with segmentations/ in it"):
        import_scenes(tmp_path, tmp_path / "work", "photos")
