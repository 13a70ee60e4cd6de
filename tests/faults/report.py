"""Disturb every stage in every way, and say what happened."""

import json
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.faults.inject import FAULTS
from tests.faults.trial import STAGES, Run, Trial, needs, output_folder, target, tree
from tests.project import copy_project, run


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
        return self.clear and self.same and self.repeat_code == 0


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
        undisturbed.wait_for_stage()
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
        fault, times = FAULTS[name]
        if name == "corrupted input" and not needs(before.stage):
            # Nobody can mend a photo; the stage can only refuse it, which is the next fault.
            continue
        for number in range(times):
            generator = random.Random(f"{seed} {before.stage} {name} {number}")
            with before.copied(folder) as trial:
                detail, ended = fault(trial, generator)
                again = trial.start().end()
                found = tree(trial.folder)
                different = {
                    path
                    for path in found.keys() | expected.keys()
                    if found.get(path) != expected.get(path)
                }
            yield Outcome(
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
                different=tuple(sorted(different)[:5]),
            )


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
