"""The table over scenes: every scene's metrics and their mean."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ovs3d.errors import StoreError

METRICS = ("miou", "accuracy", "psnr", "ssim", "miou_uncovered_wrong", "accuracy_uncovered_wrong")


def summarize_scenes(evaluate: Path, scenes: Sequence[str]) -> dict[str, Any]:
    """Average the metrics of scenes.

    Args:
        evaluate: folder with `<scene>/metrics.json` of each scene.
        scenes: names of the scenes.

    Returns:
        The mean of each metric over the scenes that have it (no masks, no mIoU), and `scenes`:
        scene -> its metrics.

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
    """Lay out a summary as lines of text: scene, then each of `METRICS`; the mean comes last."""
    lines = [(scene, *_cells(row)) for scene, row in summary["scenes"].items()]
    return [*lines, ("mean", *_cells(summary))]


def _cells(row: Mapping[str, float]) -> list[str]:
    return [f"{row[metric]:.4g}" if metric in row else "-" for metric in METRICS]


def _read(path: Path) -> dict[str, float]:
    try:
        content = dict(json.loads(path.read_text()))
        return {metric: float(content[metric]) for metric in METRICS if metric in content}
    except FileNotFoundError:
        raise StoreError(f"{path} does not exist; run stage evaluate of this scene first") from None
    except (ValueError, TypeError) as error:
        raise StoreError(f"{path} holds no metrics ({error}); run stage evaluate again") from None
