"""The stage scripts of evaluation, from their arguments to their files."""

import argparse
import json
from pathlib import Path

import pytest
import torch

from ovs3d.errors import SceneError
from ovs3d.files import write_json
from ovs3d.params import SceneParams, load_scene_params
from ovs3d.space.cameras import save_cameras
from stages import evaluate, render, summarize
from tests.evaluation.oracle import OracleSegmentation
from tests.synthetic import make_scene, write_scene

PARAMS = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `raw/` and `poses/` of a synthetic scene, as small as photos may be."""
    folder = tmp_path_factory.mktemp("inputs")
    scene = make_scene(6, 80, 64)
    write_scene(scene, folder / "raw", masked_views=(1, 4))
    save_cameras(scene.cameras, folder / "poses" / "cameras.json")
    return folder


@pytest.fixture
def arguments(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    """The arguments that the stages of a scene get, with the oracle as the stored segmentation."""

    def load(path: Path, _: torch.device) -> OracleSegmentation:
        assert path == inputs / "distill" / "segmentation.safetensors"
        return OracleSegmentation()

    for stage in (evaluate, render):
        monkeypatch.setattr(stage, "load_segmentation", load)
    return argparse.Namespace(
        scene="demo",
        images=inputs / "raw" / "images",
        segmentations=inputs / "raw" / "segmentations",
        poses=inputs / "poses",
        distill=inputs / "distill",
        out=tmp_path / "out",
    )


def _params(test_views: tuple[int, ...], val_views: tuple[int, ...] = ()) -> SceneParams:
    params = load_scene_params(PARAMS, "demo")
    small = params.stages.render.model_copy(update={"frames": 2, "points": 100})
    stages = params.stages.model_copy(update={"render": small})
    views = {"test_views": test_views, "val_views": val_views}
    return params.model_copy(
        update={**views, "split": "held_out", "device": "cpu", "stages": stages}
    )


def test_evaluate_scores_the_test_views(arguments: argparse.Namespace) -> None:
    evaluate.main(arguments, _params((1, 4)))
    metrics = json.loads((arguments.out / "metrics.json").read_text())
    # Half a photo pixel lies between a ray and the mask pixel that stands for it.
    assert metrics["miou"] > 0.9
    assert metrics["protocol"]["views"] == [1, 4]
    assert metrics["protocol"]["resolution"] == "40 x 32"


def test_evaluate_keeps_the_scores_of_test_views_apart(
    arguments: argparse.Namespace, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate.main(arguments, _params((1,), (4,)))
    for name, views in (("metrics", [4]), ("test", [1])):
        content = json.loads((arguments.out / f"{name}.json").read_text())
        assert content["protocol"]["views"] == views
        assert content["miou"] > 0.9
    assert "validation views" in capsys.readouterr().out
    for pictures in ("overlays", "views"):
        assert sorted(path.name for path in (arguments.out / pictures).iterdir()) == [
            "001.png",
            "004.png",
        ]


def test_evaluate_refuses_masks_of_trained_views(arguments: argparse.Namespace) -> None:
    with pytest.raises(SceneError, match="trained on: 4; add"):
        evaluate.main(arguments, _params((1,)))


@pytest.mark.parametrize(
    ("test_views", "val_views", "maps"),
    [
        pytest.param((1, 4), (), 2, id="test views"),
        pytest.param((1, 4), (0,), 3, id="validation views too"),
        pytest.param((), (), 6, id="all views of a scene that holds out none"),
    ],
)
def test_render_writes_label_maps(
    arguments: argparse.Namespace,
    test_views: tuple[int, ...],
    val_views: tuple[int, ...],
    maps: int,
) -> None:
    render.main(arguments, _params(test_views, val_views))
    assert len(list((arguments.out / "labels").glob("*.png"))) == maps
    assert (arguments.out / "video.mp4").exists()


def test_summarize_reads_the_scenes_of_the_params(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("scenes: {bed: {}, sofa: {}}\n")
    paths = ["data/evaluate", "data/summary.json"]
    bed = {"miou": 0.5, "psnr": 20.0, "protocol": {"scored": "validation"}}
    sofa = {"miou": 0.7, "psnr": 22.0, "protocol": {"scored": "test"}}
    write_json(tmp_path / "data/evaluate/bed/metrics.json", bed)
    assert summarize.main(paths) == 2
    assert "sofa/metrics.json does not exist" in capsys.readouterr().err
    write_json(tmp_path / "data/evaluate/sofa/metrics.json", sofa)
    assert summarize.main(paths) == 0
    summary = json.loads((tmp_path / "data/summary.json").read_text())
    assert summary["miou"] == 0.6
    assert list(summary["scenes"]) == ["bed", "sofa"]
