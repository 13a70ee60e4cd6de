"""The whole pipeline through `dvc repro` on a small synthetic scene, in a copy of the project."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.closure import ROOT
from tests.synthetic import make_scene, write_scene

SCENE = "boxes"
TEST_VIEWS = (2, 6)
# What makes the tiny preset a matter of seconds; everything else stays as shipped.
SMALLER: dict[str, dict[str, Any]] = {
    "poses": {"max_features": 2048},
    "clip_features": {"window_divisors": [2, 3], "downscale": 2},
    "dino_features": {},
    "reconstruct": {
        "iterations": 60,
        "batch": 512,
        "voxels_start": 8000,
        "voxels_end": 20000,
        "upsample_at": [20],
        "occupancy_at": [30],
    },
    "distill": {"downscale": 4, "iterations": 20, "joint_after": 10, "batch": 256, "patches": 1},
    "evaluate": {"downscale": 4},
    "render": {"downscale": 4, "frames": 3, "points": 500},
}
AFTER_DISTILL = [f"{stage}@{SCENE}" for stage in ("distill", "evaluate", "render")]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project whose only scene is the synthetic one, already built once."""
    folder = tmp_path_factory.mktemp("project")
    skip = shutil.ignore_patterns("__pycache__")
    for name in ("ovs3d", "stages", "data/weights"):
        shutil.copytree(ROOT / name, folder / name, ignore=skip)
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["device"] = "cpu"
    params["scenes"] = {SCENE: {"preset": "tiny", "test_views": list(TEST_VIEWS), **SMALLER}}
    write_params(folder, params)
    scene = make_scene(views=9, width=240, height=180)
    write_scene(scene, folder / "data" / "raw" / SCENE, masked_views=TEST_VIEWS)
    run(folder, "dvc", "init", "--quiet", "--no-scm")
    run(folder, "dvc", "repro")
    return folder


def write_params(folder: Path, params: dict[str, Any]) -> None:
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def run(folder: Path, *command: str) -> str:
    """Run a program of this environment in the project; return what it printed."""
    binaries = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(folder)
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def stages_run(output: str) -> list[str]:
    return re.findall(r"Running stage '([^']+)'", output)


def test_every_stage_leaves_its_outputs(project: Path) -> None:
    data = project / "data"
    for path in (
        f"poses/{SCENE}/cameras.json",
        f"clip_features/{SCENE}/clip.zarr/zarr.json",
        f"dino_features/{SCENE}/dino.zarr/zarr.json",
        f"reconstruct/{SCENE}/field.safetensors",
        f"distill/{SCENE}/segmentation.safetensors",
        f"render/{SCENE}/video.mp4",
        f"render/{SCENE}/point_cloud.ply",
        "summary.json",
    ):
        assert (data / path).is_file(), path
    metrics = json.loads((data / "evaluate" / SCENE / "metrics.json").read_text())
    assert {"miou", "accuracy", "psnr", "ssim", "per_class", "per_view", "protocol"} <= set(metrics)
    assert {int(view) for view in metrics["per_view"]} == set(TEST_VIEWS)
    assert 0 <= metrics["miou"] <= 1


def test_second_repro_does_nothing(project: Path) -> None:
    assert stages_run(run(project, "dvc", "repro")) == []


def test_a_loss_weight_reruns_distillation_and_what_follows(project: Path) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["tiny"]["distill"]["fda"]["negative"] += 0.02
    write_params(project, params)
    assert sorted(stages_run(run(project, "dvc", "repro"))) == [*AFTER_DISTILL, "summarize"]


def test_other_labels_rerun_distillation_and_what_follows(project: Path) -> None:
    segmentations = project / "data" / "raw" / SCENE / "segmentations"
    classes = segmentations / "classes.txt"
    classes.write_text(classes.read_text() + "giraffe\n")
    assert sorted(stages_run(run(project, "dvc", "repro"))) == [*AFTER_DISTILL, "summarize"]


def test_an_edit_to_a_loss_never_extracts_features_again(project: Path) -> None:
    loss = project / "ovs3d" / "distill" / "losses.py"
    loss.write_text(loss.read_text() + "\n# edited\n")
    rerun = stages_run(run(project, "dvc", "repro"))
    assert f"distill@{SCENE}" in rerun
    assert not [
        name
        for name in rerun
        if name.split("@")[0] not in ("distill", "evaluate", "render", "summarize")
    ]
