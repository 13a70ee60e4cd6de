"""Two experiments at the same time, through DVC's own queue."""

import shutil
import time
from pathlib import Path

import pytest
import yaml

from ovs3d.files import digest
from tests.project import SCENE, read_params, run, stages_run

MODEL = f"data/distill/{SCENE}/segmentation.safetensors"
_WEIGHTS = {"half": 0.5, "double": 2.0}
_LIMIT_SECONDS = 800


def git(folder: Path, *arguments: str) -> str:
    """Run Git with an identity of its own."""
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    return run(folder, "git", *identity, *arguments)


@pytest.mark.slow
def test_queued_experiments_run_side_by_side_on_cached_features(
    built_project: Path, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    shutil.copytree(built_project, project, symlinks=True)
    git(project, "init", "--quiet")
    run(project, "dvc", "config", "--unset", "core.no_scm")
    (project / ".dvc" / ".gitignore").write_text("/cache\n/tmp\n")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "-m", "built")
    for name, weight in _WEIGHTS.items():
        change = f"tiny.distill.losses.rda={weight}"
        run(project, "dvc", "exp", "run", "--queue", "--name", name, "--set-param", change)
    run(project, "dvc", "queue", "start", "--jobs", "2")
    deadline = time.monotonic() + _LIMIT_SECONDS
    while "Queued" in (status := run(project, "dvc", "queue", "status")) or "Running" in status:
        assert time.monotonic() < deadline, status
        time.sleep(1)
    assert status.count("Success") == 2, status
    after_distill = [f"{stage}@{SCENE}" for stage in ("distill", "evaluate", "render", "report")]
    digests = {digest(project / MODEL)}
    for name, weight in _WEIGHTS.items():
        log = run(project, "dvc", "queue", "logs", name)
        assert sorted(stages_run(log)) == [*after_distill, "summarize"]
        run(project, "dvc", "exp", "apply", name)
        assert read_params(project)["tiny"]["distill"]["losses"]["rda"] == weight
        digests.add(digest(project / MODEL))
    assert len(digests) == 3
    # What came out of the queue is what the stage makes of the same parameters on its own.
    command = yaml.safe_load((project / "dvc.lock").read_text())["stages"][f"distill@{SCENE}"]
    *program, out = command["cmd"].split()
    run(project, *program, "alone")
    assert digest(project / "alone" / Path(MODEL).name) == digest(project / MODEL)
    assert out == str(Path(MODEL).parent)
