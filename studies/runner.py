"""Measures rows on scenes in worker processes; what is finished stays finished.

A finished row of a scene and a seed is one small JSON file, named after everything that it depends
on; its label maps lie beside it.
"""

import multiprocessing
import os
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
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
    """A row to measure on a scene with a seed."""

    scene: Scene
    row: str
    seed: int

    @property
    def name(self) -> str:
        """How to call it in messages."""
        return f"{self.row} of {self.scene.name}, seed {self.seed}"


Shared = tuple[Scene, int]
"""A scene and a seed, whose products all rows share."""


@dataclass(frozen=True)
class Failure:
    """What ended in an error, and in which."""

    task: str
    reason: str


def result_file(plan: Plan, task: Task) -> Path:
    """Return where the result of a row is once it is finished."""
    row, scene = ROWS[task.row], task.scene
    content = [
        _preset(plan.preset),
        {**dict(scene.settings), **plan.settings, **row.overrides},
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


def in_order(tasks: Sequence[Task], jobs: int) -> list[Task | Shared]:
    """Put before the rows what they share, so early that no worker waits for another one's.

    Args:
        tasks: of rows.
        jobs: number of workers.

    Returns:
        Tasks, and for each of their scenes and seeds that pair.
    """
    groups: dict[Shared, list[Task]] = {}
    for task in tasks:
        groups.setdefault((task.scene, task.seed), []).append(task)
    ahead = list(groups)
    order: list[Task | Shared] = [*ahead[:jobs]]
    for number, rows in enumerate(groups.values(), start=jobs):
        order += [*ahead[number : number + 1], *rows]
    return order


def run_all(plan: Plan, tasks: Sequence[Task], jobs: int) -> list[Failure]:
    """Run the tasks that are not finished, in worker processes with one thread of torch each.

    Args:
        plan: what they have in common.
        tasks: of rows.
        jobs: number of processes.

    Returns:
        What went wrong; everything else is finished.
    """
    targets = {task: result_file(plan, task) for task in tasks}
    waiting = [task for task, target in targets.items() if not target.is_file()]
    failures: list[Failure] = []
    if not waiting:
        return failures
    order = in_order(waiting, jobs)
    with (
        progress("studies", len(order), "tasks") as advance,
        _workers(plan, jobs) as pool,
    ):
        running = {
            pool.submit(run_task, plan, step, targets[step])
            if isinstance(step, Task)
            else pool.submit(make_products, plan, *step): step
            for step in order
        }
        for future in as_completed(running):
            step, error = running[future], future.exception()
            name = step.name if isinstance(step, Task) else f"products of {step[0].name}"
            if error is not None:
                failures.append(Failure(name, f"{type(error).__name__}: {one_line(error)}"))
            advance(1, note=name)
    return failures


def make_products(plan: Plan, scene: Scene, seed: int) -> None:
    """Run the stages up to the field, unless that is done."""
    file = plan.work / "running" / scene.name / f"products-{seed}.yaml"
    with _logged():
        params = make_params(scene, plan.preset, plan.settings, seed, file)
        Products(scene, plan.work).arguments(params, file.parent)


def run_task(plan: Plan, task: Task, target: Path) -> None:
    """Measure a row and write its result, unless another process has."""
    out = plan.work / "running" / task.scene.name / target.stem
    with _logged(), locked(out):
        if not target.is_file():
            _measure(plan, task, ROWS[task.row], target, out)


def _measure(plan: Plan, task: Task, row: Row, target: Path, out: Path) -> None:
    scene = row.scene(task.scene, plan.work)
    changes = {**plan.settings, **row.overrides}
    params = make_params(scene, plan.preset, changes, task.seed, out / "params.yaml")
    arguments = Products(scene, plan.work).arguments(params, out)
    inputs = gather_inputs(arguments, params)
    case = Case(scene, params, arguments, inputs, scene.scored(plan.views))
    started = time.process_time()
    maps = row.label(case)
    seconds = time.process_time() - started
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


@contextmanager
def _logged() -> Iterator[None]:
    """Print the whole error to the worker's log; the parent tells it in one line."""
    try:
        yield
    except Exception:
        traceback.print_exc()
        raise


def _start_worker(log: Path) -> None:
    """Give a worker one thread, and a file for what the stages print."""
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    log.mkdir(parents=True, exist_ok=True)
    sys.stdout = sys.stderr = (log / f"{os.getpid()}.txt").open("a", buffering=1)


def _end_with_parent() -> None:
    """End the worker when the parent is killed: nobody would see to the rest of its work."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
