"""A copy of the project with one small synthetic scene, and DVC run in it as a user would."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.closure import ROOT
from tests.synthetic import make_scene, write_scene

SCENE = "boxes"
VAL_VIEWS, TEST_VIEWS = (2,), (6,)
# What makes the tiny preset a matter of seconds; everything else stays as shipped.
SMALLER: dict[str, dict[str, Any]] = {
    "poses": {"max_features": 2048, "first_octave": -1},
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
    "lift": {},
    "distill": {"downscale": 4, "iterations": 20, "joint_after": 10, "batch": 256, "patches": 1},
    "evaluate": {"downscale": 4},
    "render": {"downscale": 4, "frames": 3, "points": 500},
}


def copy_project(folder: Path) -> None:
    """Copy code, models and stage graph; the only scene is the synthetic one, not built yet."""
    # Weights that somebody made for photographs on this machine are large, and of no use here.
    skip = shutil.ignore_patterns("__pycache__", "real")
    for name in ("ovs3d", "stages", "data/weights"):
        shutil.copytree(ROOT / name, folder / name, ignore=skip)
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["device"] = "cpu"
    views = {"val_views": list(VAL_VIEWS), "test_views": list(TEST_VIEWS)}
    params["scenes"] = {SCENE: {"preset": "tiny", **views, **SMALLER}}
    write_params(folder, params)
    scene = make_scene(views=9, width=240, height=180)
    write_scene(scene, folder / "data" / "raw" / SCENE, masked_views=(*VAL_VIEWS, *TEST_VIEWS))


def read_params(folder: Path) -> dict[str, Any]:
    """Read the project's `params.yaml`."""
    params: dict[str, Any] = yaml.safe_load((folder / "params.yaml").read_text())
    return params


def write_params(folder: Path, params: dict[str, Any]) -> None:
    """Write the project's `params.yaml`."""
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def attempt(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a program of this environment in the project, whether it succeeds or not."""
    binaries = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(folder)
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def run(folder: Path, *command: str) -> str:
    """Run a program of this environment in the project; return what it printed."""
    done = attempt(folder, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def stages_run(output: str) -> list[str]:
    """Return the stages whose commands `dvc repro` ran, as it printed them."""
    return re.findall(r"Running stage '([^']+)'", output)
