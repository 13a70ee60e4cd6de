"""Disturb every stage in every way, and say what happened."""

import json
import random
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.faults.inject import FAULTS, MISSED, UNMENDED, applies
from tests.faults.trial import STAGES, Run, Trial, needs, output_folder, target, tree
from tests.project import copy_project, run

_ATTEMPTS = 3


@dataclass(frozen=True)
class Outcome:
    """What a fault did to a stage.

    Attributes:
        stage: that was disturbed.
        fault: key of `FAULTS`.
        detail: when it came, or to what.
        code: exit code of the disturbed run.
        message: the last line that says something.
        clear: no traceback was printed.
        seconds: of the undisturbed run.
        repeat_seconds: of the run after the fault.
        repeat_code: its exit code.
        same: after it every file of the project equals that of an undisturbed one.
        different: the files that do not, at most five.
    """

    stage: str
    fault: str
    detail: str
    code: int
    message: str
    clear: bool
    seconds: float
    repeat_seconds: float
    repeat_code: int
    same: bool
    different: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether nothing was lost and nobody was left puzzled."""
        unnoticed = self.fault == UNMENDED and self.code == 0
        return self.clear and self.same and self.repeat_code == 0 and not unnoticed


def disturb(
    stages: Sequence[str],
    faults: Sequence[str],
    seed: int,
    work: Path,
    told: Callable[[Outcome], None],
) -> list[Outcome]:
    """Disturb stages in a synthetic project.

    Args:
        stages: names as in `dvc.yaml`.
        faults: keys of `FAULTS`.
        seed: of moments and places; a trial's depend on nothing but it, the stage and the fault.
        work: an empty folder.
        told: called with each outcome.
    """
    # A shell starts background jobs deaf to Ctrl-C, and their children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    built, before = work / "built", work / "before"
    built.mkdir(parents=True)
    copy_project(built)
    run(built, "dvc", "init", "--quiet", "--no-scm")
    wanted = set(stages).union(*(needs(stage) for stage in stages))
    outcomes = []
    for stage in STAGES:
        if stage not in wanted:
            continue
        if stage in stages:
            shutil.copytree(built, before)
        undisturbed = Run(built, "dvc", "repro", target(stage))
        undisturbed.wait_for_stage(target(stage))
        ended = undisturbed.end()
        assert ended.code == 0, ended.output
        if stage in stages:
            sizes = [
                path.stat().st_size
                for path in output_folder(built, stage).rglob("*")
                if path.is_file()
            ]
            trial = Trial(before, stage, ended.seconds, tuple(sizes))
            for outcome in _disturb_stage(trial, tree(built), faults, seed, work / "trial"):
                told(outcome)
                outcomes.append(outcome)
            shutil.rmtree(before)
    return outcomes


def _disturb_stage(
    before: Trial, expected: dict[str, str], faults: Sequence[str], seed: int, folder: Path
) -> Iterator[Outcome]:
    for name in faults:
        for number in range(FAULTS[name][1] if applies(name, before.stage) else 0):
            seed_of_trial = f"{seed} {before.stage} {name} {number}"
            trial = before
            for _ in range(_ATTEMPTS):
                outcome, seconds = _disturb_once(trial, expected, name, seed_of_trial, folder)
                if not outcome.detail.startswith(MISSED):
                    break
                # The machine was faster than when the undisturbed stage ran.
                trial = replace(trial, seconds=seconds)
            yield outcome


def _disturb_once(
    before: Trial, expected: dict[str, str], name: str, seed: str, folder: Path
) -> tuple[Outcome, float]:
    """Disturb a stage and repeat it; return also how long the disturbed run took."""
    with before.copied(folder) as trial:
        detail, ended = FAULTS[name][0](trial, random.Random(seed))
        again = trial.start().end()
        found = tree(trial.folder)
    names = found.keys() | expected.keys()
    different = sorted(path for path in names if found.get(path) != expected.get(path))
    outcome = Outcome(
        stage=trial.stage,
        fault=name,
        detail=detail,
        code=ended.code,
        message=ended.message,
        clear=ended.clear,
        seconds=round(trial.seconds, 1),
        repeat_seconds=round(again.seconds, 1),
        repeat_code=again.code,
        same=not different,
        different=tuple(different[:5]),
    )
    return outcome, ended.seconds


def write_report(outcomes: Sequence[Outcome], seed: int, path: Path) -> None:
    """Write outcomes as JSON and, beside it, as a Markdown table."""
    rows = [asdict(outcome) for outcome in outcomes]
    path.write_text(json.dumps({"seed": seed, "outcomes": rows}, indent=1) + "\n")
    path.with_suffix(".md").write_text(table(outcomes))


def table(outcomes: Sequence[Outcome]) -> str:
    """Return outcomes as a Markdown table."""
    lines = [
        "| stage | fault | when, where | exit | last line | traceback | repeated: seconds "
        "(undisturbed) | same bytes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in outcomes:
        message = one.message.replace("|", "\\|")
        same = "yes" if one.same else "**no**: " + ", ".join(one.different)
        cells = (
            one.stage,
            one.fault,
            one.detail,
            str(one.code),
            message,
            "no" if one.clear else "**yes**",
            f"{one.repeat_seconds} ({one.seconds})",
            same if one.repeat_code == 0 else f"**repeat ended with {one.repeat_code}**",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
