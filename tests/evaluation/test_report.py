"""The content of metrics.json and test.json, and the files of stage evaluate."""

import csv
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ovs3d.evaluation.report import EvaluationInputs, evaluate_scene
from ovs3d.evaluation.scored_views import choose_views
from ovs3d.evaluation.segment import Segmenter
from ovs3d.photos.dataset import NO_LABEL, Photos
from tests.evaluation.oracle import OracleSegmentation, read_folder
from tests.synthetic import LABELS, SyntheticScene, pack_masks, write_scene

CPU = torch.device("cpu")
ORACLE = OracleSegmentation()


@pytest.fixture
def photos(scene: SyntheticScene, tmp_path: Path) -> Photos:
    """The photos of the synthetic world on disk."""
    write_scene(scene, tmp_path / "raw")
    paths = tuple(sorted((tmp_path / "raw" / "images").iterdir()))
    return Photos(paths, scene.cameras.width, scene.cameras.height)


def _evaluate(
    scene: SyntheticScene,
    photos: Photos,
    out: Path,
    masks: Mapping[int, NDArray[np.uint8]],
    val_views: tuple[int, ...] = (),
    test_views: tuple[int, ...] = (1, 4),
    model: Segmenter = ORACLE,
) -> dict[str, Any]:
    views = choose_views(val_views, test_views, masks.keys(), scene.cameras.views, "held_out")
    packed = {view: pack_masks(mask) for view, mask in masks.items()}
    setting = EvaluationInputs(photos, scene.cameras, packed, views)
    return evaluate_scene(model, setting, (5, 7, 10), 1, CPU, out)


def _masks(scene: SyntheticScene, *views: int) -> dict[int, NDArray[np.uint8]]:
    return {view: scene.label_maps[view].numpy() for view in views or (1, 4)}


def test_evaluate_scene_of_the_truth_is_perfect(
    scene: SyntheticScene, photos: Photos, tmp_path: Path
) -> None:
    metrics = _evaluate(scene, photos, tmp_path / "out", _masks(scene))
    stored = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert stored == metrics
    assert list(stored)[:4] == ["miou", "accuracy", "psnr", "ssim"]
    assert stored["miou"] == stored["accuracy"] == 1.0
    assert stored["per_class"] == dict.fromkeys(LABELS, 1.0)
    assert list(stored["per_view"]) == ["1", "4"]
    assert stored["per_view"]["1"].keys() == {"miou", "accuracy", "psnr", "ssim"}
    assert stored["protocol"] == {
        "split": "held_out",
        "scored": "test",
        "views": [1, 4],
        "trained_on": False,
        "text": "test views, held out of training; the scene has no validation views",
        "downscale": 1,
        "resolution": f"{photos.width} x {photos.height}",
    }
    assert json.loads((tmp_path / "out" / "test.json").read_text()) == stored


def test_validation_views_are_the_metrics_and_test_views_are_apart(
    scene: SyntheticScene, photos: Photos, tmp_path: Path
) -> None:
    masks = _masks(scene, 1, 4, 5)
    # What the field says of the validation view is wrong everywhere, of the test views nowhere.
    masks[5] = (masks[5] + 1) % len(LABELS)
    metrics = _evaluate(scene, photos, tmp_path, masks, val_views=(5, 0))
    test = json.loads((tmp_path / "test.json").read_text())
    assert metrics == json.loads((tmp_path / "metrics.json").read_text())
    assert (metrics["miou"], metrics["accuracy"]) == (0.0, 0.0)
    assert (test["miou"], test["accuracy"]) == (1.0, 1.0)
    assert list(metrics["per_view"]) == ["0", "5"]
    assert list(test["per_view"]) == ["1", "4"]
    assert metrics["protocol"]["scored"] == "validation"
    assert metrics["protocol"]["views"] == [0, 5]
    assert "test.json has the scores of the test views" in metrics["protocol"]["text"]
    assert (test["protocol"]["scored"], test["protocol"]["views"]) == ("test", [1, 4])
    assert metrics["psnr"] == pytest.approx(
        np.mean([metrics["per_view"][view]["psnr"] for view in ("0", "5")]), abs=1e-5
    )
    names = {f"{view:03d}.png" for view in (0, 1, 4, 5)}
    for folder in ("overlays", "selection"):
        assert {path.name for path in (tmp_path / folder).iterdir()} == names
    with (tmp_path / "confusion.csv").open(newline="") as file:
        assert not any(row["actual"] == row["predicted"] for row in csv.DictReader(file))


def test_a_scene_of_validation_views_only_has_no_test_scores(
    scene: SyntheticScene, photos: Photos, tmp_path: Path
) -> None:
    metrics = _evaluate(scene, photos, tmp_path, _masks(scene, 1), (1,), ())
    assert metrics["miou"] == 1.0
    test = json.loads((tmp_path / "test.json").read_text())
    assert test["per_view"] == {}
    assert "psnr" not in test
    assert test["protocol"]["text"] == "no test views"


def test_evaluate_scene_tells_the_protocols_apart(
    scene: SyntheticScene, photos: Photos, tmp_path: Path
) -> None:
    mask = scene.label_maps[1].numpy().copy()
    # A quarter is uncovered, a quarter is another label than the field says.
    y, x = mask.shape[0] // 2, mask.shape[1] // 2
    mask[:y, :x] = NO_LABEL
    mask[y:, :x] = (mask[y:, :x] + 1) % len(LABELS)
    metrics = _evaluate(scene, photos, tmp_path / "out", {1: mask})
    assert metrics["accuracy"] == pytest.approx(2 / 3, abs=1e-6)
    assert metrics["accuracy_uncovered_wrong"] == pytest.approx(1 / 2)
    assert metrics["miou_uncovered_wrong"] < metrics["miou"] < 1.0
    assert metrics["per_view"]["4"].keys() == {"psnr", "ssim"}
    with (tmp_path / "out" / "confusion.csv").open(newline="") as file:
        rows = Counter(row["actual"] == row["predicted"] for row in csv.DictReader(file))
    assert rows[True] == pytest.approx(667, abs=2)
    assert rows.total() == 1000


def test_evaluate_scene_scores_overlapping_masks_in_both_protocols(
    scene: SyntheticScene, photos: Photos, tmp_path: Path
) -> None:
    truth = scene.label_maps[1].numpy()
    stack = truth == np.arange(len(LABELS))[:, None, None]
    # The floor's mask goes on behind the boxes, as an annotator may draw it.
    boxes = truth < LABELS.index("floor")
    stack[LABELS.index("floor")] |= boxes
    packed = {1: np.packbits(stack, axis=0, bitorder="little")}
    views = choose_views((), (1,), packed, scene.cameras.views, "held_out")
    setting = EvaluationInputs(photos, scene.cameras, packed, views)
    metrics = evaluate_scene(ORACLE, setting, (5, 7, 10), 1, CPU, tmp_path / "out")
    floor = (truth == LABELS.index("floor")).sum() / stack[LABELS.index("floor")].sum()
    # Ours: the floor, which comes later, hides the boxes.
    assert metrics["accuracy"] == pytest.approx(1 - boxes.mean(), abs=1e-6)
    assert metrics["miou"] == pytest.approx((floor + 1) / len(LABELS), abs=1e-6)
    # The paper's: the masks of the boxes are all found; only the floor's is larger.
    assert metrics["miou_uncovered_wrong"] == pytest.approx((4 + floor) / len(LABELS), abs=1e-6)
    assert metrics["accuracy_uncovered_wrong"] == pytest.approx(1 - boxes.mean(), abs=1e-6)


def test_evaluate_scene_counts_what_rays_do_not_meet_as_wrong(
    scene: SyntheticScene, photos: Photos, tmp_path: Path
) -> None:
    masks = _masks(scene)
    metrics = _evaluate(scene, photos, tmp_path / "out", masks, model=OracleSegmentation(0.2))
    floor_and_wall = np.mean([mask >= LABELS.index("floor") for mask in masks.values()])
    assert metrics["accuracy"] == pytest.approx(floor_and_wall, abs=1e-6)
    assert [metrics["per_class"][label] for label in LABELS] == [0, 0, 0, 1, 1]
    with (tmp_path / "out" / "confusion.csv").open(newline="") as file:
        predicted = Counter(row["predicted"] for row in csv.DictReader(file))
    assert predicted["unlabelled"] == pytest.approx(1000 * (1 - floor_and_wall), abs=3)


def test_evaluate_scene_without_masks_has_no_miou_and_says_so(
    scene: SyntheticScene, photos: Photos, tmp_path: Path
) -> None:
    metrics = _evaluate(scene, photos, tmp_path / "out", {})
    assert "miou" not in metrics
    assert "accuracy" not in metrics
    assert np.isfinite(metrics["psnr"])
    assert metrics["per_class"] == {}
    assert "no masks" in metrics["protocol"]["text"]


def test_evaluate_scene_writes_the_same_files_twice(
    scene: SyntheticScene, photos: Photos, tmp_path: Path
) -> None:
    contents = []
    for name in ("a", "b"):
        _evaluate(scene, photos, tmp_path / name, _masks(scene))
        contents.append(read_folder(tmp_path / name))
    assert contents[0] == contents[1]
    assert sorted(contents[0]) == [
        "confusion.csv",
        "confusion.png",
        "logits.png",
        "metrics.json",
        "overlays/001.png",
        "overlays/004.png",
        "selection/001.png",
        "selection/004.png",
        "test.json",
        "views/001.png",
        "views/004.png",
    ]
