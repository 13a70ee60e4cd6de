"""The whole pipeline through `dvc repro` on a small synthetic scene, in a copy of the project."""

import json
import shutil
from pathlib import Path

import pytest

from tests.project import (
    SCENE,
    TEST_VIEWS,
    VAL_VIEWS,
    read_params,
    run,
    stages_run,
    write_params,
)

AFTER_DISTILL = [f"{stage}@{SCENE}" for stage in ("distill", "evaluate", "render", "report")]


@pytest.fixture(scope="module")
def project(built_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the built project that the tests of this module may change in turn."""
    folder = tmp_path_factory.mktemp("pipeline") / "project"
    shutil.copytree(built_project, folder)
    return folder


def test_every_stage_leaves_its_outputs(project: Path) -> None:
    data = project / "data"
    for path in (
        f"poses/{SCENE}/cameras.json",
        f"clip_features/{SCENE}/clip.zarr/zarr.json",
        f"dino_features/{SCENE}/dino.zarr/zarr.json",
        f"reconstruct/{SCENE}/field.safetensors",
        f"lift/{SCENE}/language.zarr/zarr.json",
        f"distill/{SCENE}/segmentation.safetensors",
        f"render/{SCENE}/video.mp4",
        f"render/{SCENE}/point_cloud.ply",
        f"report/{SCENE}/report.html",
        "summary.json",
    ):
        assert (data / path).is_file(), path
    metrics = json.loads((data / "evaluate" / SCENE / "metrics.json").read_text())
    assert {"miou", "accuracy", "psnr", "ssim", "per_class", "per_view", "protocol"} <= set(metrics)
    assert {int(view) for view in metrics["per_view"]} == set(VAL_VIEWS)
    assert 0 <= metrics["miou"] <= 1
    test = json.loads((data / "evaluate" / SCENE / "test.json").read_text())
    assert {int(view) for view in test["per_view"]} == set(TEST_VIEWS)
    field = json.loads((data / "reconstruct" / SCENE / "metrics.json").read_text())
    assert {int(view) for view in field["per_view"]} == set(VAL_VIEWS)


def test_dvc_compares_experiments_by_the_validation_views_alone(project: Path) -> None:
    shown = run(project, "dvc", "metrics", "show", "--json")
    [found] = json.loads(shown).values()
    for stage in ("reconstruct", "evaluate"):
        content = found["data"][f"data/{stage}/{SCENE}/metrics.json"]["data"]
        assert set(content["per_view"]) == {str(view) for view in VAL_VIEWS}
    assert f"data/evaluate/{SCENE}/test.json" not in found["data"]


def test_second_repro_does_nothing(project: Path) -> None:
    assert stages_run(run(project, "dvc", "repro")) == []


def test_a_loss_weight_reruns_distillation_and_what_follows(project: Path) -> None:
    params = read_params(project)
    params["tiny"]["distill"]["fda"]["negative"] += 0.02
    write_params(project, params)
    assert sorted(stages_run(run(project, "dvc", "repro"))) == [*AFTER_DISTILL, "summarize"]


def test_other_labels_rerun_distillation_and_what_follows(project: Path) -> None:
    segmentations = project / "data" / "raw" / SCENE / "segmentations"
    classes = segmentations / "classes.txt"
    lines = classes.read_text().splitlines()
    # The last one gets phrases of its own; its name, and that of its masks, stays.
    lines[-1] += f" = {lines[-1]} | background"
    classes.write_text("\n".join([*lines, "giraffe"]))
    assert sorted(stages_run(run(project, "dvc", "repro"))) == [*AFTER_DISTILL, "summarize"]


def test_an_edit_to_a_loss_never_extracts_features_again(project: Path) -> None:
    loss = project / "ovs3d" / "distill" / "losses.py"
    loss.write_text(loss.read_text() + "\n_EDITED = 1\n")
    rerun = stages_run(run(project, "dvc", "repro"))
    assert f"distill@{SCENE}" in rerun
    assert not [
        name
        for name in rerun
        if name.split("@")[0] not in ("distill", "evaluate", "render", "report", "summarize")
    ]


def test_words_and_bars_make_nothing_anew(project: Path) -> None:
    for name in ("photos/dataset.py", "field/vm.py", "reconstruct/train.py", "progress.py"):
        file = project / "ovs3d" / name
        text = file.read_text().replace('progress("', 'progress("my ')
        assert '"""' in text
        file.write_text(text.replace('"""', '"""My ', 1) + "\n# edited\n")
    assert stages_run(run(project, "dvc", "repro")) == []
