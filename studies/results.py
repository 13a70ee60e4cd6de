"""From finished rows to the numbers of the study: means over scenes, spreads over seeds."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovs3d.files import write_json
from studies.fields import FieldScores
from studies.rows import GROUPS, ROWS, Row
from studies.runner import Plan, Task, result_file
from studies.scenes import Scene
from studies.variants import FULL

_DIGITS = 4


@dataclass(frozen=True)
class Run:
    """How the numbers came about."""

    command: str
    commit: str
    preset: str
    views: str
    seeds: Sequence[int]

    @property
    def made_by(self) -> dict[str, str]:
        """What the results say of where they come from."""
        return {"command": self.command, "commit": self.commit}


@dataclass(frozen=True)
class Summary:
    """A row over all scenes and seeds.

    Attributes:
        scores: scene -> mIoU per seed.
        accuracies: scene -> accuracy per seed.
        seconds: mean CPU time of the row itself, without what rows share.
    """

    scores: Mapping[str, Sequence[float]]
    accuracies: Mapping[str, Sequence[float]]
    seconds: float

    @property
    def per_seed(self) -> list[float]:
        """Mean mIoU over scenes, for every seed."""
        return [statistics.mean(seed) for seed in zip(*self.scores.values(), strict=True)]

    @property
    def mean(self) -> float:
        """Mean mIoU over scenes and seeds."""
        return statistics.mean(self.per_seed)

    @property
    def spread(self) -> float:
        """Standard deviation over seeds of the mean over scenes; 0 with one seed."""
        return statistics.stdev(self.per_seed) if len(self.per_seed) > 1 else 0.0

    @property
    def per_scene(self) -> dict[str, float]:
        """Mean mIoU over seeds, for every scene."""
        return {scene: statistics.mean(seeds) for scene, seeds in self.scores.items()}

    @property
    def worst(self) -> tuple[str, float]:
        """The scene with the lowest mIoU, and that mIoU."""
        return min(self.per_scene.items(), key=lambda item: item[1])

    def to_json(self) -> dict[str, Any]:
        """Return what the results say about the row."""
        accuracy = statistics.mean(map(statistics.mean, self.accuracies.values()))
        return {
            "mean_miou": _rounded(self.mean),
            "spread": _rounded(self.spread),
            "worst_miou": _rounded(self.worst[1]),
            "worst_scene": self.worst[0],
            "mean_accuracy": _rounded(accuracy),
            "seconds": round(self.seconds, 1),
            "per_scene": {scene: _rounded(score) for scene, score in self.per_scene.items()},
        }


def summarise(plan: Plan, scenes: Sequence[Scene], seeds: Sequence[int]) -> dict[str, Summary]:
    """Summarise the rows that are finished on all scenes with all seeds, in the table's order."""
    found = {name: _summary(plan, row, scenes, seeds) for name, row in ROWS.items()}
    return {name: summary for name, summary in found.items() if summary is not None}


def _summary(plan: Plan, row: Row, scenes: Sequence[Scene], seeds: Sequence[int]) -> Summary | None:
    records: dict[str, list[dict[str, Any]]] = {}
    for scene in scenes:
        files = [
            result_file(plan, Task(scene, row.name, seed))
            for seed in (seeds if row.seeded else seeds[:1])
        ]
        if not all(file.is_file() for file in files):
            return None
        records[scene.name] = [json.loads(file.read_text()) for file in files]

    def column(key: str) -> dict[str, list[float]]:
        return {scene: [record[key] for record in own] for scene, own in records.items()}

    seconds = [value for values in column("seconds").values() for value in values]
    return Summary(column("miou"), column("accuracy"), statistics.mean(seconds))


def to_json(
    summaries: Mapping[str, Summary],
    fields: Mapping[str, FieldScores],
    scenes: Sequence[Scene],
    run: Run,
) -> dict[str, Any]:
    """Return the results by group; groups without a finished row are left out.

    Args:
        summaries: row -> its summary.
        fields: scene -> scores of its fields.
        scenes: that were measured.
        run: that measured them.
    """
    names = [scene.name for scene in scenes]
    full = summaries.get(FULL.name)
    results: dict[str, Any] = {}
    for group in GROUPS:
        own = {name: each for name, each in summaries.items() if ROWS[name].group == group}
        if group == "test":
            if full is not None:
                results["test"] = {"scenes": names, "seeds": list(run.seeds), **full.to_json()}
            continue
        rows = {name: each.to_json() for name, each in own.items()}
        if full is not None:
            for name, each in own.items():
                rows[name]["loss"] = _rounded(full.mean - each.mean)
        if group == "statistics" and rows:
            losses = [row["loss"] for row in rows.values() if "loss" in row]
            worst = {"worst_loss": max(losses)} if losses else {}
            results[group] = {**worst, "rows": rows}
        elif rows:
            results[group] = rows
    results["fields"] = {scene: each.to_json() for scene, each in fields.items()}
    return {**results, **run.made_by}


def real_to_json(
    summaries: Mapping[str, Summary], fields: Mapping[str, FieldScores], run: Run
) -> dict[str, Any]:
    """Return what results say about real scenes: scores of the method, of 2D CLIP, of the fields.

    `clip_2d_miou` is that of the best of the rows `clip_2d*`; `rows` has all rows' mIoU.
    """
    scenes: dict[str, dict[str, Any]] = {}
    for name, each in summaries.items():
        for scene, score in each.per_scene.items():
            entry = scenes.setdefault(scene, {"rows": {}})
            entry["rows"][name] = _rounded(score)
            if name == FULL.name:
                accuracy = statistics.mean(each.accuracies[scene])
                entry |= {"miou": _rounded(score), "accuracy": _rounded(accuracy)}
            if name.startswith("clip_2d"):
                entry["clip_2d_miou"] = max(_rounded(score), entry.get("clip_2d_miou", 0.0))
    return {
        "real": scenes,
        "real_fields": {scene: each.to_json() for scene, each in fields.items()},
        "real_run": {"seeds": list(run.seeds), **run.made_by},
    }


def merge_results(file: Path, results: Mapping[str, Any]) -> None:
    """Write results into a JSON file, whose other keys stay as they are."""
    before = json.loads(file.read_text()) if file.is_file() else {}
    write_json(file, {**before, **results})


def _rounded(value: float) -> float:
    return round(value, _DIGITS)
