import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from ovs3d.apps.cli import COMMANDS
from ovs3d.features.store import FeatureStore
from ovs3d.features.token_store import TokenStore
from ovs3d.files import write_json
from ovs3d.poses.upright import UPRIGHT_FILE
from stages import _run, clip_features, dino_features
from tests.features.conftest import Files
from tests.synthetic import make_scene, write_scene

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def project(
    clip_vit: Files, dino_vit: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder with a scene and the repository's params, but with the tests' small models."""
    params: dict[str, Any] = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    params["scenes"]["demo"]["test_views"] = [1]
    params["scenes"]["demo"]["clip_features"] = {
        "model": clip_vit.model,
        "weights": clip_vit.weights,
        "window_divisors": [2],
        "views": 0.5,
    }
    params["scenes"]["demo"]["dino_features"] = {
        "model": dino_vit.model,
        "weights": dino_vit.weights,
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    write_scene(make_scene(views=3, width=96, height=72), tmp_path / "raw")
    write_json(tmp_path / "poses" / UPRIGHT_FILE, {"turn": 90})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_only_encoders_need_is_not_imported_before_one_is_made() -> None:
    """Importing it takes longer than all else that a stage or a command does until it works."""
    stages = [f"stages.{path.stem}" for path in (REPOSITORY / "stages").glob("[!_]*.py")]
    modules = ", ".join([*stages, *(module for module, _ in COMMANDS.values())])
    heavy = {"open_clip", "timm", "torchvision", "transformers", "dask", "distributed"}
    script = f"import sys, {modules}; print(*{heavy} & set(sys.modules))"
    found = subprocess.check_output([sys.executable, "-c", script], cwd=REPOSITORY, text=True)
    assert found.split() == []


def run_clip() -> int:
    arguments = ["demo", "raw/images", "poses", "out"]
    return _run.run(clip_features.main, "", ("images", "poses", "out"), arguments)


def test_clip_features_stage_writes_a_finished_store(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_clip() == 0
    store = FeatureStore.open(project / "out" / "clip.zarr")
    assert (store.views, store.attributes["turn"]) == ((2,), 90)
    assert "CLIP features of demo" in capsys.readouterr().out


def test_a_share_of_the_views_is_one_of_those_that_are_trained_on(project: Path) -> None:
    content = yaml.safe_load((project / "params.yaml").read_text())
    content["scenes"]["demo"]["val_views"] = [2]
    (project / "params.yaml").write_text(yaml.safe_dump(content))
    assert run_clip() == 0
    assert FeatureStore.open(project / "out" / "clip.zarr").views == (0,)


def test_changed_test_views_keep_a_store_of_all_photos(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = yaml.safe_load((project / "params.yaml").read_text())
    content["scenes"]["demo"]["clip_features"]["views"] = 1.0
    for test_views in ([1], [0, 2]):
        content["scenes"]["demo"]["test_views"] = test_views
        (project / "params.yaml").write_text(yaml.safe_dump(content))
        assert run_clip() == 0
    assert FeatureStore.open(project / "out" / "clip.zarr").views == (0, 1, 2)
    assert "3 (3 from an earlier run)" in capsys.readouterr().out


def test_dino_features_stage_writes_a_finished_store_and_a_picture(project: Path) -> None:
    arguments = ["demo", "raw/images", "out"]
    assert _run.run(dino_features.main, "", ("images", "out"), arguments) == 0
    store = TokenStore.open(project / "out" / "dino.zarr")
    assert store.load(store.views, torch.device("cpu")).shape == (3, 9, 12, 24)
    assert sorted(path.name for path in (project / "out").iterdir()) == ["dino.zarr", "pca.png"]


def test_stage_without_weights_ends_in_one_line(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = yaml.safe_load((project / "params.yaml").read_text())
    content["scenes"]["demo"]["clip_features"]["weights"] = "weights/none.safetensors"
    (project / "params.yaml").write_text(yaml.safe_dump(content))
    assert run_clip() == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "no weights file weights/none.safetensors; set clip_features.weights" in message
    assert not (project / "out").exists()
