"""Measure the method, baselines and ablations on scenes with masks: `python -m studies`."""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ovs3d import errors
from ovs3d.apps.downscales import REAL_PHOTOS
from ovs3d.errors import ParamsError
from ovs3d.progress import plain_console
from studies.fields import score_fields
from studies.page import write_page
from studies.real import import_scenes
from studies.results import Run, merge_results, real_to_json, summarise, to_json
from studies.rows import GROUPS, ROWS, choose_rows
from studies.runner import Plan, list_tasks, run_all
from studies.scenes import load_scenes


def main(argv: Sequence[str] | None = None) -> int:
    """Run the rows that are not finished and write the results; return the exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    failed = 0

    def work() -> None:
        nonlocal failed
        failed = _run(arguments, shlex.join(["python", "-m", "studies", *(argv or sys.argv[1:])]))

    return errors.guarded("studies", work) or min(failed, 1)


def _run(arguments: argparse.Namespace, command: str) -> int:
    preset = arguments.preset or (REAL_PHOTOS if arguments.real else "tiny")
    if arguments.real:
        scenes = import_scenes(arguments.real, arguments.work, preset)
    else:
        scenes = load_scenes(arguments.scenes, arguments.split)
    rows = choose_rows(_words(arguments.only))
    seeds = [int(seed) for seed in _words(arguments.seeds)]
    settings = dict(map(_setting, arguments.set))
    plan = Plan(arguments.work, preset, arguments.views, settings)
    failures = run_all(plan, list_tasks(rows, scenes, seeds), arguments.jobs)
    console = plain_console()
    for failure in failures:
        console.print(f"failed: {failure.task}: {failure.reason}")
    summaries = summarise(plan, scenes, seeds)
    fields = {} if failures else score_fields(plan, scenes, seeds)
    run = Run(command, _commit(), plan.preset, plan.views, seeds)
    out = arguments.out or (arguments.work if arguments.views == "val" else Path("docs"))
    if arguments.real:
        results = real_to_json(summaries, fields, run)
    else:
        results = to_json(summaries, fields, scenes, run)
    merge_results(out / "results.json", results)
    page = out / ("results_real.md" if arguments.real else "results.md")
    write_page(page, run, summaries, fields)
    for name, each in summaries.items():
        scene, worst = each.worst
        console.print(
            f"{name:20} {100 * each.mean:5.1f} ± {100 * each.spread:.1f}  "
            f"worst {100 * worst:5.1f} {scene}"
        )
    console.print(f"results: {out}/results.json; rows so far: {arguments.work}/rows")
    return len(failures)


def _parser() -> argparse.ArgumentParser:
    rows = "; ".join(
        f"{group}: {', '.join(name for name, row in ROWS.items() if row.group == group)}"
        for group in GROUPS
    )
    parser = argparse.ArgumentParser(
        "studies", description=__doc__, epilog=f"Rows by group: {rows}"
    )
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--scenes", type=Path, default=Path("data/suite"), help="folder of a suite")
    place.add_argument(
        "--real", type=Path, help="folder of real scenes; all their masks are for test"
    )
    parser.add_argument("--split", choices=("dev", "test", "all"), default="test")
    parser.add_argument("--views", choices=("val", "test"), default="test", help="to score")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--only", default="", help="rows or groups, with commas between; else all")
    parser.add_argument(
        "--preset", help=f"of params.yaml (default: tiny, with --real {REAL_PHOTOS})"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="parameter of all rows"
    )
    parser.add_argument("--work", type=Path, default=Path("data/studies"), help="for what is kept")
    parser.add_argument("--out", type=Path, help="for the results; docs, with --views val: work")
    parser.add_argument("--jobs", type=int, default=2, help="worker processes")
    return parser


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _setting(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ParamsError(f"--set {text}: expected KEY=VALUE, like distill.losses.rda=100")
    return key, yaml.safe_load(value)


def _commit() -> str:
    """Return the commit that the code is at, with a plus where files have changed since."""
    describe = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    done = subprocess.run(describe, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
