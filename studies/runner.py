"""Measures rows on scenes in worker processes; what is finished stays finished.

A finished row of a scene and a seed is one small JSON file, named after everything that it depends
on; its label maps lie beside it.
"""

import multiprocessing
import os
import shutil
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ovs3d.errors import one_line
from ovs3d.files import write_json
from ovs3d.params import load_preset
from ovs3d.progress import progress
from stages._inputs import gather_inputs
from stages._run import PARAMS_FILE
from studies.case import Case
from studies.products import Products, code_digest, digests, key_of, locked
from studies.rows import ROWS, Row
from studies.scenes import Scene
from studies.scoring import score
from studies.settings import make_params
from studies.variants import FULL

_UPSTREAM = ("poses", "clip_features", "dino_features", "reconstruct")


@dataclass(frozen=True)
class Plan:
    """What all rows of a run have in common.

    Attributes:
        work: folder of products and finished rows.
        preset: of `params.yaml`.
        views: `val` or `test`, the views to score.
        settings: dotted keys of the parameters and their values, changed for all rows.
    """

    work: Path
    preset: str
    views: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """A row to measure on a scene with a seed; without a row, what all rows share is made."""

    scene: Scene
    row: str | None
    seed: int

    @property
    def name(self) -> str:
        """How to call it in messages."""
        return f"{self.row or 'products'} of {self.scene.name}, seed {self.seed}"


@dataclass(frozen=True)
class Failure:
    """A task that ended in an error."""

    task: Task
    reason: str


def result_file(plan: Plan, task: Task) -> Path:
    """Return where the result of a row is once it is finished."""
    row, scene = ROWS[task.row or FULL.name], task.scene
    content = [
        _preset(plan.preset),
        {**plan.settings, **row.overrides},
        task.seed,
        scene.scored(plan.views),
        scene.held_out,
        digests(path for path in sorted(scene.folder.rglob("*")) if path.is_file()),
        code_digest((*_UPSTREAM, *row.stages), row.files),
    ]
    name = f"{row.name}-{task.seed}-{key_of(content)}.json"
    return plan.work / "rows" / scene.name / name


def list_tasks(rows: Sequence[Row], scenes: Sequence[Scene], seeds: Sequence[int]) -> list[Task]:
    """Return a task for every row, scene and seed; one seed is enough where it does not matter."""
    return [
        Task(scene, row.name, seed)
        for seed in seeds
        for scene in scenes
        for row in rows
        if row.seeded or seed == seeds[0]
    ]


def run_all(plan: Plan, tasks: Sequence[Task], jobs: int) -> list[Failure]:
    """Run the tasks that are not finished, in worker processes with one thread of torch each.

    Args:
        plan: what they have in common.
        tasks: of rows.
        jobs: number of processes.

    Returns:
        What went wrong; everything else is finished.
    """
    waiting = [task for task in tasks if not result_file(plan, task).is_file()]
    shared = {(task.scene.name, task.seed): Task(task.scene, None, task.seed) for task in waiting}
    # The products first, so that no worker waits for another one that is making them.
    todo = [*shared.values(), *waiting]
    failures = []
    if not todo:
        return []
    with (
        progress("studies", len(todo), "tasks") as advance,
        _workers(plan, min(jobs, len(todo))) as pool,
    ):
        running = {pool.submit(run_task, plan, task): task for task in todo}
        for future in as_completed(running):
            task = running[future]
            if reason := _reason(future):
                failures.append(Failure(task, reason))
            advance(1, note=task.name)
    return failures


def run_task(plan: Plan, task: Task) -> None:
    """Make what a task stands for, unless another process has."""
    try:
        target = result_file(plan, task)
        out = plan.work / "running" / task.scene.name / target.stem
        if task.row is None:
            params = make_params(
                task.scene, plan.preset, plan.settings, task.seed, out / "params.yaml"
            )
            Products(task.scene, plan.work).arguments(params, out)
            return
        with locked(out):
            if not target.is_file():
                _measure(plan, task, ROWS[task.row], target, out)
    except Exception:
        traceback.print_exc()
        raise


def _measure(plan: Plan, task: Task, row: Row, target: Path, out: Path) -> None:
    scene = row.scene(task.scene, plan.work)
    changes = {**plan.settings, **row.overrides}
    params = make_params(scene, plan.preset, changes, task.seed, out / "params.yaml")
    arguments = Products(scene, plan.work).arguments(params, out)
    inputs = gather_inputs(arguments, params)
    case = Case(scene, params, arguments, inputs, scene.scored(plan.views))
    started = time.monotonic()
    maps = row.label(case)
    seconds = time.monotonic() - started
    pictures = target.with_suffix("")
    pictures.mkdir(parents=True, exist_ok=True)
    for view, label_map in maps.items():
        Image.fromarray(label_map).save(pictures / f"{view:03d}.png")
    write_json(target, {**score(case, maps), "seconds": round(seconds, 1)})
    shutil.rmtree(out)


@cache
def _preset(name: str) -> dict[str, Any]:
    return load_preset(PARAMS_FILE, name).model_dump(mode="json", exclude={"render"})


@contextmanager
def _workers(plan: Plan, jobs: int) -> Iterator[ProcessPoolExecutor]:
    # Read when a worker loads OpenMP; idle threads that spin take cores from the other workers.
    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, context, _start_worker, (plan.work / "log",))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(log: Path) -> None:
    """Give a worker one thread, and a file for what the stages print."""
    torch.set_num_threads(1)
    log.mkdir(parents=True, exist_ok=True)
    sys.stdout = sys.stderr = (log / f"{os.getpid()}.txt").open("a", buffering=1)


def _reason(future: Future[None]) -> str | None:
    error = future.exception()
    return None if error is None else f"{type(error).__name__}: {one_line(error)}"
