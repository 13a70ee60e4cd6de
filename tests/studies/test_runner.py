"""Rows run once: what is finished is found again, and the numbers are those of stage evaluate."""

import argparse
import json
from pathlib import Path

import pytest

from ovs3d.distill.model import load_segmentation
from ovs3d.params import SceneParams, load_scene_params
from stages._inputs import gather_inputs
from studies import runner
from studies.case import Case
from studies.fields import FieldScores, score_fields
from studies.products import Products
from studies.rows import ROWS
from studies.runner import Plan, Task, in_order, list_tasks, result_file, run_all, run_task
from studies.scenes import Scene
from studies.scoring import score
from tests.closure import ROOT
from tests.project import SCENE, TEST_VIEWS, VAL_VIEWS


@pytest.fixture
def task(scene_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.chdir(ROOT)
    return Task(Scene("boxes", scene_folder, (1,), (4,)), "full", 0)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(tmp_path / "work", "tiny", "test", {})


def test_a_finished_row_is_not_measured_again(
    plan: Plan, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []

    def measure(plan: Plan, task: Task, row: object, target: Path, out: Path) -> None:  # noqa: ARG001
        measured.append(task.row)
        target.parent.mkdir(parents=True)
        target.write_text("{}")

    monkeypatch.setattr(runner, "_measure", measure)
    target = result_file(plan, task)
    run_task(plan, task, target)
    run_task(plan, task, target)
    assert measured == ["full"]
    monkeypatch.setattr(runner, "_workers", lambda *_: pytest.fail("starts workers"))
    assert run_all(plan, [task], jobs=1) == []


def test_a_result_depends_on_what_the_row_depends_on(plan: Plan, task: Task) -> None:
    def name(plan: Plan = plan, **changes: object) -> str:
        return result_file(plan, Task(**{**vars(task), **changes})).name

    names = [
        name(),
        name(seed=1),
        name(row="no_rda"),
        name(Plan(plan.work, "tiny", "val", {})),
        name(Plan(plan.work, "tiny", "test", {"distill.iterations": 10})),
    ]
    assert name() == names[0]
    mask = next(task.scene.segmentations.glob("04/*.png"))
    mask.rename(mask.with_name("wall.png") if mask.stem != "wall" else mask.with_name("floor.png"))
    assert len({*names, name()}) == len(names) + 1


def test_rows_without_chance_run_with_one_seed(task: Task) -> None:
    tasks = list_tasks([ROWS["full"], ROWS["clip_2d"]], [task.scene], [3, 4])
    assert [(each.row, each.seed) for each in tasks] == [("full", 3), ("clip_2d", 3), ("full", 4)]


def test_products_come_before_their_rows_and_not_all_at_once(task: Task) -> None:
    scenes = [Scene(name, task.scene.folder, (), (1,)) for name in "abc"]
    tasks = list_tasks([ROWS["full"]], scenes, [0])
    a, b, c = [(scene, 0) for scene in scenes]
    assert in_order(tasks, jobs=2) == [a, b, c, tasks[0], tasks[1], tasks[2]]
    assert in_order(tasks, jobs=1) == [a, b, tasks[0], c, tasks[1], tasks[2]]
    assert in_order(tasks, jobs=8) == [a, b, c, *tasks]


def test_products_are_made_once_and_kept_apart_by_seed(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, int]] = []
    for stage in ("poses", "reconstruct"):
        monkeypatch.setattr(
            f"stages.{stage}.main",
            lambda _, params, stage=stage: calls.append((stage, params.seed)),
        )
    params = load_scene_params(Path("params.yaml"), "demo")
    products = Products(task.scene, tmp_path / "work")
    first = products.reconstruct(params)
    assert products.reconstruct(params) == first
    second = products.reconstruct(params.model_copy(update={"seed": 1}))
    assert second != first
    assert calls == [("poses", 0), ("reconstruct", 0), ("reconstruct", 1)]


def test_fields_have_the_scores_of_stage_reconstruct(
    plan: Plan, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reconstruct(arguments: argparse.Namespace, params: SceneParams) -> None:
        arguments.out.mkdir(parents=True)
        metrics = {"psnr": 30.0 + params.seed, "ssim": 0.9, "per_view": {}}
        (arguments.out / "metrics.json").write_text(json.dumps(metrics))

    monkeypatch.setattr("stages.poses.main", lambda *_: None)
    monkeypatch.setattr("stages.reconstruct.main", reconstruct)
    scored = score_fields(plan, [task.scene], (0, 1))
    assert scored == {"boxes": FieldScores([30.0, 31.0], [0.9, 0.9])}


@pytest.mark.slow
def test_scores_are_those_of_stage_evaluate(
    built_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(built_project)
    params = load_scene_params(Path("params.yaml"), SCENE)
    raw, data = Path("data/raw") / SCENE, Path("data")
    stages = ("poses", "clip_features", "dino_features", "reconstruct")
    arguments = argparse.Namespace(
        images=raw / "images",
        classes=raw / "segmentations" / "classes.txt",
        out=Path("out"),
        **{stage: data / stage / SCENE for stage in stages},
    )
    scene = Scene(SCENE, raw, VAL_VIEWS, TEST_VIEWS)
    case = Case(scene, params, arguments, gather_inputs(arguments, params), TEST_VIEWS)
    model = load_segmentation(data / "distill" / SCENE / "segmentation.safetensors", case.device)
    found = score(case, case.segment(model))
    metrics = json.loads((data / "evaluate" / SCENE / "test.json").read_text())
    assert (found["miou"], found["accuracy"]) == (metrics["miou"], metrics["accuracy"])
    assert found["per_class"] == metrics["per_class"]
    per_view = {view: each["miou"] for view, each in metrics["per_view"].items()}
    assert found["per_view"] == per_view
