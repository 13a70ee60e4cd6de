"""The table over scenes: every scene's metrics and their mean."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ovs3d.errors import StoreError

METRICS = {
    "miou": "mIoU",
    "accuracy": "accuracy",
    "psnr": "PSNR",
    "ssim": "SSIM",
    "miou_uncovered_wrong": "mIoU, gaps wrong",
    "accuracy_uncovered_wrong": "accuracy, gaps wrong",
}
"""In `metrics.json` -> in a table; gaps are the pixels that no mask covers."""
_SCORED = "scored"


def summarize_scenes(evaluate: Path, scenes: Sequence[str]) -> dict[str, Any]:
    """Average the metrics of scenes.

    Args:
        evaluate: folder with `<scene>/metrics.json` of each scene.
        scenes: names of the scenes.

    Returns:
        The mean of each metric over the scenes that have it (no masks, no mIoU), and `scenes`:
        scene -> its metrics and, as `scored`, which views they are of.

    Raises:
        StoreError: a scene's metrics are missing or not metrics.
    """
    rows = {scene: _read(evaluate / scene / "metrics.json") for scene in scenes}
    means: dict[str, Any] = {}
    for metric in METRICS:
        values = [row[metric] for row in rows.values() if metric in row]
        if values:
            means[metric] = round(sum(values) / len(values), 6)
    return {**means, "scenes": rows}


def table_rows(summary: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Lay out a summary as lines of text: names of the columns, a line per scene, their mean.

    The second column says whether the numbers are of validation, test or training views.

    Metrics that no scene has are left out, those in which gaps count as wrong where that changes
    nothing, and the mean of a single scene.
    """
    lines = {**summary["scenes"], "mean": summary}
    if len(lines) == 2:
        del lines["mean"]
    columns: dict[str, tuple[str, ...]] = {}
    for metric in METRICS:
        cells = tuple(f"{line[metric]:.4g}" if metric in line else "-" for line in lines.values())
        if set(cells) != {"-"} and cells != columns.get(metric.removesuffix("_uncovered_wrong")):
            columns[metric] = cells
    names = [METRICS[metric] for metric in columns]
    scored = [line.get(_SCORED, "") for line in lines.values()]
    return [("scene", "views", *names), *zip(lines, scored, *columns.values(), strict=True)]


def _read(path: Path) -> dict[str, Any]:
    try:
        content = dict(json.loads(path.read_text()))
        numbers = {metric: float(content[metric]) for metric in METRICS if metric in content}
        return {**numbers, _SCORED: str(content["protocol"][_SCORED])}
    except FileNotFoundError:
        raise StoreError(f"{path} does not exist; run stage evaluate of this scene first") from None
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{path} holds no metrics ({error}); run stage evaluate again") from None
