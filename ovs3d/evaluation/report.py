"""Score a segmentation on held-out views and write what a person needs to judge it.

`metrics.json` (flat numbers first), `confusion.csv` and `confusion.png` of the views that steer
choices, `test.json` (like `metrics.json`) of those that are reported, and of all of them
`overlays/<view>.png` (photo, truth, prediction, wrong pixels), `views/<view>.png` (photo,
rendering, inverse depth) and `selection/<view>.png` (which scale each pixel listens to);
`logits.png` (every label's score) of one view.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ovs3d.evaluation import figures
from ovs3d.evaluation.confusion import confusion_plot
from ovs3d.evaluation.drawing import save_png
from ovs3d.evaluation.metrics import (
    PaperScore,
    accuracy,
    confusion_matrix,
    confusion_rows,
    iou_by_label,
    iou_per_class,
    miou,
    paper_score,
)
from ovs3d.evaluation.quality import similarity
from ovs3d.evaluation.scored_views import ScoredViews, ViewsToScore
from ovs3d.evaluation.segment import (
    SegmentedView,
    Segmenter,
    segment_view,
    shrink_labels,
    top_labels,
)
from ovs3d.files import atomic_path, write_json
from ovs3d.photos.dataset import Photos, load_photo, load_seen
from ovs3d.photos.masks import unpack_masks
from ovs3d.plots import save_plot
from ovs3d.progress import progress
from ovs3d.space.cameras import Cameras

_DIGITS = 6


@dataclass(frozen=True)
class EvaluationInputs:
    """What the renderings are compared with."""

    photos: Photos
    cameras: Cameras
    masks: Mapping[int, NDArray[np.uint8]]
    """View index -> masks in photo pixels, packed as `read_masks` returns them."""
    views: ViewsToScore
    match_colours: bool = False
    """See `ovs3d.evaluation.quality.similarity`."""


@dataclass(frozen=True)
class ViewScore:
    """The numbers of one view; `counts` and `paper` are None for a view without masks."""

    psnr: float
    ssim: float
    counts: NDArray[np.int64] | None
    paper: PaperScore | None

    def numbers(self) -> dict[str, float]:
        """Return what the files of scores say about the view."""
        labels: dict[str, float | None] = {}
        if self.counts is not None:
            labels = {"miou": miou([iou_per_class(self.counts)]), "accuracy": accuracy(self.counts)}
        return _tidy({**labels, "psnr": self.psnr, "ssim": self.ssim})


def evaluate_scene(
    model: Segmenter,
    scene: EvaluationInputs,
    divisors: Sequence[float],
    downscale: int,
    device: torch.device,
    out: Path,
) -> dict[str, Any]:
    """Render, score and picture the held-out views of a scene.

    Args:
        model: the segmentation.
        scene: photos, cameras, masks and the choice of views.
        divisors: `clip_features.window_divisors`, which name the scales.
        downscale: views are rendered and compared at photo / downscale.
        device: device of the model.
        out: folder for the files that the module's docstring lists.

    Returns:
        The content of `metrics.json`.
    """
    chosen, scales = scene.views.choosing, figures.scale_names(divisors)
    # The view in which scores can be compared with masks, if there is one.
    shown = next((view for view in chosen.views if view in scene.masks), chosen.views[0])
    scores: dict[int, ViewScore] = {}
    with progress("evaluate", len(scene.views.all), "views") as advance:
        for view in scene.views.all:
            photo = load_photo(scene.photos.paths[view], downscale).numpy()
            packed = scene.masks.get(view)
            masks = None
            if packed is not None:
                masks = unpack_masks(shrink_labels(packed, downscale), len(model.labels))
            truth = None if masks is None else top_labels(masks)
            rendered = segment_view(model, scene.cameras, view, downscale, device)
            seen = load_seen(scene.photos.paths[view], downscale)
            scores[view] = score_view(rendered, photo, masks, seen, scene.match_colours)
            comparison = figures.comparison(photo, truth, rendered.label_map, model.labels)
            save_png(comparison, out / "overlays" / f"{view:03d}.png")
            rendering = figures.rendering_figure(photo, rendered.picture, rendered.depth)
            save_png(rendering, out / "views" / f"{view:03d}.png")
            selection = figures.selection_figure(photo, rendered.selection, scales)
            save_png(selection, out / "selection" / f"{view:03d}.png")
            if view == shown:
                save_png(
                    figures.logits_figure(photo, rendered.logits, model.labels), out / "logits.png"
                )
            advance()
    total = total_counts([scores[view] for view in chosen.views], len(model.labels))
    save_plot(confusion_plot(total, model.labels), out / "confusion.png")
    with atomic_path(out / "confusion.csv") as temporary:
        temporary.write_text(confusion_rows(total, model.labels))
    size = f"{scene.photos.width // downscale} x {scene.photos.height // downscale}"
    metrics, test = (
        collect_metrics(scores, model.labels, views) for views in (chosen, scene.views.reporting)
    )
    for name, content in (("metrics.json", metrics), ("test.json", test)):
        content["protocol"] |= {"downscale": downscale, "resolution": size}
        if scene.match_colours:
            content["protocol"]["colours"] = "fitted on left halves, scored on right halves"
        write_json(out / name, content)
    return metrics


def score_view(
    rendered: SegmentedView,
    photo: NDArray[np.uint8],
    masks: NDArray[np.bool_] | None,
    seen: torch.Tensor | None,
    match_colours: bool,
) -> ViewScore:
    """Compare a rendered view with its photo [h, w, 3] and, if there are any, masks [C, h, w].

    Colours are compared as `similarity` does, where the photo is `seen`, bool [h, w].
    """
    color = torch.from_numpy(rendered.color)
    target = torch.from_numpy(photo).float() / 255
    counts, paper = None, None
    if masks is not None:
        counts = confusion_matrix(top_labels(masks), rendered.label_map, len(masks))
        paper = paper_score(masks, rendered.label_map)
    return ViewScore(*similarity(color, target, seen, match_colours), counts, paper)


def total_counts(scores: Sequence[ViewScore], classes: int) -> NDArray[np.int64]:
    """Add up the pixels of all views that have masks: int64 [C + 1, C + 1]."""
    counts = [score.counts for score in scores if score.counts is not None]
    return sum(counts, np.zeros((classes + 1,) * 2, dtype=np.int64))


def collect_metrics(
    scores: Mapping[int, ViewScore], labels: Sequence[str], chosen: ScoredViews
) -> dict[str, Any]:
    """Average the scores of some views; what no view has, without masks or at all, is left out.

    Args:
        scores: view index -> score, for these views and perhaps others.
        labels: names of the labels.
        chosen: the views.

    Returns:
        `miou`, `accuracy`, `psnr`, `ssim`, the former two in the paper's protocol, `per_class`,
        `per_view` and `protocol`.
    """
    own = {view: scores[view] for view in chosen.views}
    counts = [score.counts for score in own.values() if score.counts is not None]
    per_view = [iou_per_class(view) for view in counts]
    papers = [score.paper for score in own.values() if score.paper is not None]
    total = total_counts([*own.values()], len(labels))
    numbers = {
        "miou": miou(per_view),
        "accuracy": accuracy(total),
        "psnr": _mean([score.psnr for score in own.values()]),
        "ssim": _mean([score.ssim for score in own.values()]),
        "miou_uncovered_wrong": miou([paper.ious for paper in papers]),
        "accuracy_uncovered_wrong": _mean([paper.accuracy for paper in papers]),
    }
    unmasked = "; no masks, so no miou and no accuracy" if own and not counts else ""
    return {
        **_tidy(numbers),
        "per_class": _tidy(iou_by_label(per_view, labels)),
        "per_view": {str(view): score.numbers() for view, score in own.items()},
        "protocol": {
            "split": chosen.split,
            "scored": chosen.kind,
            "views": list(chosen.views),
            "trained_on": chosen.trained_on,
            "text": chosen.text + unmasked,
        },
    }


def _mean(numbers: Sequence[float]) -> float | None:
    return float(np.mean(numbers)) if numbers else None


def _tidy(numbers: Mapping[str, float | None]) -> dict[str, float]:
    """Leave out what could not be computed and round, so that metric diffs are readable."""
    return {key: round(value, _DIGITS) for key, value in numbers.items() if value is not None}
