"""Data sets of other tools from import to scores: every stage but structure from motion."""

import json
import runpy
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from ovs3d.apps.cli import main
from tests.closure import ROOT
from tests.intake.formats import WRITERS, Truth, make_truth
from tests.project import SMALLER
from tests.synthetic import LABELS, make_scene, write_masks

TEST_VIEWS = (2, 6)
STAGES: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
UP_TO_SCORES = list(STAGES)[: list(STAGES).index("evaluate") + 1]


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    return make_truth(make_scene(9, 240, 180), tmp_path_factory.mktemp("truth"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty project whose preset `tiny` takes seconds."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "data").mkdir()
    (folder / "data/weights").symlink_to(ROOT / "data/weights")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["device"], params["scenes"] = "cpu", None
    for stage, values in SMALLER.items():
        params["tiny"][stage].update(values)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return folder


def run_stage(stage: str, scene: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a stage's script with the arguments that dvc.yaml gives it."""
    command = STAGES[stage]["do"]["cmd"].replace("${key}", scene).split()
    monkeypatch.setattr("sys.argv", command[2:])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "stages" / f"{stage}.py"), run_name="__main__")
    assert ended.value.code == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_imported_scene_is_segmented_and_scored(
    project: Path, truth: Truth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(project)
    WRITERS[name](truth, tmp_path / "source")
    for view in TEST_VIEWS:
        folder = tmp_path / "source/segmentations" / f"{view:02d}"
        if not folder.exists():
            write_masks(folder, truth.label_maps[view], LABELS)
    (tmp_path / "source/segmentations/classes.txt").write_text("\n".join(LABELS))
    scene = f"from-{name.replace(' ', '-')}"
    assert main(["new-scene", scene, str(tmp_path / "source"), "--preset", "tiny"]) == 0
    assert main(["check", scene]) == 0
    for stage in UP_TO_SCORES:
        # The photos are the same ones, so their features are too.
        other = next((project / "data" / stage).glob("*"), None) if "features" in stage else None
        if other is not None:
            shutil.copytree(other, project / "data" / stage / scene)
        run_stage(stage, scene, monkeypatch)
    metrics = json.loads((project / "data/evaluate" / scene / "metrics.json").read_text())
    assert {int(view) for view in metrics["per_view"]} == set(TEST_VIEWS)
    assert 0 <= metrics["miou"] <= 1
    assert metrics["psnr"] > 10
    assert any((project / "data/evaluate" / scene / "overlays").iterdir())
