"""How well the fields that all rows share show held-out views, by stage reconstruct's numbers."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studies.products import Products
from studies.runner import Plan
from studies.scenes import Scene
from studies.settings import make_params

_DIGITS = 3


@dataclass(frozen=True)
class FieldScores:
    """A scene's fields, one value per seed.

    Attributes:
        psnr: dB, mean over the views.
        ssim: likewise.
    """

    psnr: Sequence[float]
    ssim: Sequence[float]

    def to_json(self) -> dict[str, float]:
        """Return the means over seeds."""
        means = {"psnr": statistics.mean(self.psnr), "ssim": statistics.mean(self.ssim)}
        return {name: round(mean, _DIGITS) for name, mean in means.items()}


def score_fields(
    plan: Plan, scenes: Sequence[Scene], seeds: Sequence[int]
) -> dict[str, FieldScores]:
    """Return the scores of every scene's fields; a field that is missing is made first."""
    scored = {}
    for scene in scenes:
        found = [_metrics(plan, scene, seed) for seed in seeds]
        # Where no held-out view has a pose there are no scores.
        if all("psnr" in each for each in found):
            psnr, ssim = ([each[name] for each in found] for name in ("psnr", "ssim"))
            scored[scene.name] = FieldScores(psnr, ssim)
    return scored


def _metrics(plan: Plan, scene: Scene, seed: int) -> Mapping[str, Any]:
    file = plan.work / "running" / scene.name / f"fields-{seed}.yaml"
    params = make_params(scene, plan.preset, plan.settings, seed, file)
    folder: Path = Products(scene, plan.work).reconstruct(params)
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return metrics
