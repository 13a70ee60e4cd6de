"""Arithmetic of the results, checked by hand, and what is written."""

import json
from pathlib import Path

import pytest

from studies.fields import FieldScores
from studies.page import write_page
from studies.results import Run, Summary, merge_results, real_to_json, summarise, to_json
from studies.rows import ROWS
from studies.runner import Plan, Task, result_file
from studies.scenes import Scene
from tests.closure import ROOT

SEEDS = (0, 1)
SCENES = [Scene(name, Path(name), (), (0,)) for name in ("den", "hall")]
FULL = Summary({"den": [0.8, 0.9], "hall": [0.6, 0.5]}, {"den": [1, 1], "hall": [0.9, 0.7]}, 10)
GAP = Summary({"den": [0.7, 0.7], "hall": [0.5, 0.7]}, {"den": [1, 1], "hall": [1, 1]}, 12)
FLAT = Summary({"den": [0.3], "hall": [0.1]}, {"den": [0.5], "hall": [0.5]}, 2)
FIELDS = {
    "den": FieldScores([30.0, 31.0], [0.9, 0.92]),
    "hall": FieldScores([25.01, 25.03], [0.8, 0.8]),
}
RUN = Run("python -m studies", "abc", "tiny", "test", SEEDS)


def test_means_over_scenes_and_spread_over_seeds() -> None:
    assert FULL.per_seed == pytest.approx([0.7, 0.7])
    assert (FULL.mean, FULL.spread) == pytest.approx((0.7, 0))
    label, lowest = FULL.worst
    assert label == "hall"
    assert lowest == pytest.approx(0.55)
    # Means over scenes of 0.6 and 0.7: their sample deviation is 0.1 / sqrt(2).
    assert (GAP.mean, GAP.spread) == pytest.approx((0.65, 0.070711), abs=1e-6)
    assert (FLAT.mean, FLAT.spread) == pytest.approx((0.2, 0))


def test_results_by_group() -> None:
    results = to_json({"full": FULL, "clip_2d": FLAT, "gap": GAP}, FIELDS, SCENES, RUN)
    groups = ["test", "baselines", "statistics"]
    assert list(results) == [*groups, "fields", "command", "commit"]
    test = results["test"]
    assert (test["scenes"], test["seeds"]) == (["den", "hall"], [0, 1])
    assert (test["mean_miou"], test["worst_miou"], test["worst_scene"]) == (0.7, 0.55, "hall")
    assert test["mean_accuracy"] == 0.9
    assert results["statistics"]["worst_loss"] == 0.05
    assert results["statistics"]["rows"]["gap"]["spread"] == 0.0707
    assert results["baselines"]["clip_2d"]["loss"] == 0.5
    assert results["fields"]["den"] == {"psnr": 30.5, "ssim": 0.91}
    assert (results["command"], results["commit"]) == ("python -m studies", "abc")


def test_without_the_method_there_is_no_loss() -> None:
    results = to_json({"gap": GAP}, {}, SCENES, RUN)
    assert list(results) == ["statistics", "fields", "command", "commit"]
    assert list(results["statistics"]) == ["rows"]
    assert "loss" not in results["statistics"]["rows"]["gap"]


def test_real_scenes_stand_beside_the_best_of_2d() -> None:
    better = Summary({"den": [0.4], "hall": [0.05]}, {"den": [0.5], "hall": [0.5]}, 2)
    results = real_to_json({"full": FULL, "clip_2d": FLAT, "clip_2d_small": better}, FIELDS, RUN)
    assert results["real"]["den"] == {
        "rows": {"full": 0.85, "clip_2d": 0.3, "clip_2d_small": 0.4},
        "miou": 0.85,
        "accuracy": 1,
        "clip_2d_miou": 0.4,
    }
    assert results["real"]["hall"]["clip_2d_miou"] == 0.1
    assert results["real_fields"]["hall"] == {"psnr": 25.02, "ssim": 0.8}
    assert results["real_run"] == {"seeds": [0, 1], "command": RUN.command, "commit": "abc"}


def test_other_keys_of_the_results_stay(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text('{"mine": 1, "test": "old"}')
    merge_results(file, {"test": "new"})
    assert json.loads(file.read_text()) == {"mine": 1, "test": "new"}


def test_page_shows_every_row_and_scene(tmp_path: Path) -> None:
    rows = {"full": FULL, "clip_2d": FLAT, "gap": GAP}
    write_page(tmp_path / "results.md", RUN, rows, FIELDS)
    page = (tmp_path / "results.md").read_text()
    assert "The method reaches **70.0 ± 0.0**; its worst scene is hall with 55.0." in page
    expected = f"| `gap` | {ROWS['gap'].text} | 65.0 ± 7.1 | 5.0 | 60.0 (hall) | 12 |"
    assert expected in page
    assert "| `clip_2d` | 30.0 | 10.0 |" in page
    assert "| PSNR | 30.5 | 25.0 |" in page
    assert "| SSIM | 0.910 | 0.800 |" in page
    assert "## Ablations" not in page


def test_rows_that_lack_a_seed_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    (tmp_path / "den").mkdir()
    scene = Scene("den", tmp_path / "den", (), (0,))
    plan = Plan(tmp_path / "work", "tiny", "test", {})

    def finish(row: str, seed: int, miou: float) -> None:
        file = result_file(plan, Task(scene, row, seed))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"miou": miou, "accuracy": 1.0, "seconds": 2}))

    for seed in SEEDS:
        finish("full", seed, 0.5 + seed / 10)
    finish("gap", 0, 0.5)
    finish("clip_2d", 0, 0.4)
    found = summarise(plan, [scene], SEEDS)
    assert list(found) == ["full", "clip_2d"]
    assert found["full"].scores == {"den": [0.5, 0.6]}
