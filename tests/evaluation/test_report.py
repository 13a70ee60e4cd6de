"""Choice of views, the content of metrics.json, and the files of stage evaluate."""

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

from ovs3d.errors import PosesError, SceneError
from ovs3d.evaluation.report import TestScene, TestViews, choose_test_views, evaluate_scene
from ovs3d.evaluation.segment import Segmenter
from ovs3d.scene.dataset import NO_LABEL, Photos
from tests.evaluation.oracle import OracleSegmentation, read_folder
from tests.synthetic import LABELS, SyntheticScene, pack_masks, write_scene

CPU = torch.device("cpu")
ORACLE = OracleSegmentation()


def test_choose_test_views_holds_out() -> None:
    chosen = choose_test_views((1, 4), {1, 4}, range(6), "held_out")
    assert chosen == TestViews(
        (1, 4), "held_out", trained_on=False, text="test views, held out of training"
    )


def test_choose_test_views_refuses_masks_of_trained_views() -> None:
    with pytest.raises(SceneError, match=r"trained on: 2, 5; add them to test_views"):
        choose_test_views((1,), {5, 1, 2}, range(6), "held_out")


def test_choose_test_views_scores_all_masks_under_the_papers_split() -> None:
    chosen = choose_test_views((1,), {4}, range(6), "paper")
    assert chosen.views == (1, 4)
    assert chosen.trained_on


def test_choose_test_views_leaves_out_views_without_pose() -> None:
    chosen = choose_test_views((1, 4), {1, 4}, (0, 2, 4), "held_out")
    assert chosen.views == (4,)
    assert chosen.text.endswith("1 without a pose")
    with pytest.raises(PosesError, match=r"none of the test views has a camera pose \(1, 3\)"):
        choose_test_views((3, 1), set(), (0, 2, 4), "held_out")


@pytest.mark.parametrize(
    ("registered", "views"),
    [
        pytest.param(range(30), (3, 9, 15, 21, 27), id="evenly spaced"),
        pytest.param((0, 2, 5), (0, 2, 5), id="fewer than five"),
    ],
)
def test_choose_test_views_takes_stand_ins(registered: Any, views: tuple[int, ...]) -> None:
    chosen = choose_test_views((), set(), registered, "held_out")
    assert chosen.views == views
    assert chosen.trained_on
    assert "holds out none" in chosen.text


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
    model: Segmenter = ORACLE,
) -> dict[str, Any]:
    test = choose_test_views((1, 4), masks.keys(), scene.cameras.views, "held_out")
    packed = {view: pack_masks(mask) for view, mask in masks.items()}
    setting = TestScene(photos, scene.cameras, packed, test)
    return evaluate_scene(model, setting, (5, 7, 10), 1, CPU, out)


def _masks(scene: SyntheticScene) -> dict[int, NDArray[np.uint8]]:
    return {view: scene.label_maps[view].numpy() for view in (1, 4)}


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
        "test_views": [1, 4],
        "trained_on_test_views": False,
        "text": "test views, held out of training",
        "downscale": 1,
        "resolution": f"{photos.width} x {photos.height}",
    }


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
    test = choose_test_views((1,), packed, scene.cameras.views, "held_out")
    setting = TestScene(photos, scene.cameras, packed, test)
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
    metrics = _evaluate(scene, photos, tmp_path / "out", masks, OracleSegmentation(0.2))
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
    ]
