"""Score a segmentation on test views and write what a person needs to judge it.

`metrics.json` (flat numbers first), `confusion.csv` and `confusion.png`, `overlays/<view>.png`
(photo, truth, prediction, wrong pixels), `selection/<view>.png` (which scale each pixel listens to)
and `logits.png` (every label's score in one view).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ovs3d.errors import PosesError, SceneError
from ovs3d.evaluation import figures
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
from ovs3d.evaluation.quality import psnr, ssim
from ovs3d.evaluation.segment import (
    SegmentedView,
    Segmenter,
    segment_view,
    shrink_labels,
    top_labels,
)
from ovs3d.files import atomic_path, write_json
from ovs3d.params import Split
from ovs3d.progress import progress
from ovs3d.scene.cameras import Cameras
from ovs3d.scene.dataset import Photos, load_photo, unpack_masks

_STAND_INS = 5
"""Training views that are scored when a scene holds out none; the paper scores 5 (Sec. A.4)."""
_DIGITS = 6


@dataclass(frozen=True)
class TestViews:
    """Which views are scored, and whether training saw them."""

    # The name begins like a test's; pytest must not collect it.
    __test__ = False

    views: tuple[int, ...]
    split: Split
    trained_on: bool
    text: str


@dataclass(frozen=True)
class TestScene:
    """What the renderings are compared with."""

    __test__ = False

    photos: Photos
    cameras: Cameras
    masks: Mapping[int, NDArray[np.uint8]]
    """View index -> masks in photo pixels, packed as `read_masks` returns them."""
    test: TestViews


@dataclass(frozen=True)
class ViewScore:
    """The numbers of one view; `counts` and `paper` are None for a view without masks."""

    psnr: float
    ssim: float
    counts: NDArray[np.int64] | None
    paper: PaperScore | None

    def numbers(self) -> dict[str, float]:
        """Return what `metrics.json` says about the view."""
        labels: dict[str, float | None] = {}
        if self.counts is not None:
            labels = {"miou": miou([iou_per_class(self.counts)]), "accuracy": accuracy(self.counts)}
        return _tidy({**labels, "psnr": self.psnr, "ssim": self.ssim})


def choose_test_views(
    test_views: Sequence[int],
    masked: Collection[int],
    registered: Collection[int],
    split: Split,
) -> TestViews:
    """Decide which views are scored: the test views that have a pose.

    With `split: paper` all views are trained on, so further views with masks are scored too. A
    scene that holds out nothing and has no masks is scored on a few evenly spaced views.

    Args:
        test_views: `test_views` of the scene.
        masked: views that have masks.
        registered: views that have a pose.
        split: which views were trained on.

    Raises:
        SceneError: a view with masks was trained on although the split holds test views out.
        PosesError: no test view has a pose.
    """
    leaked = sorted(set(masked) - set(test_views))
    if leaked and split == "held_out":
        names = ", ".join(str(view) for view in leaked)
        raise SceneError(
            f"views with masks were trained on: {names}; add them to test_views of the scene in "
            f"params.yaml, or set split: paper to score trained views"
        )
    wanted = sorted({*test_views, *masked})
    if not wanted:
        everything = sorted(registered)
        count = min(_STAND_INS, len(everything))
        views = [everything[(2 * k + 1) * len(everything) // (2 * count)] for k in range(count)]
        return TestViews(tuple(views), split, True, "training views (the scene holds out none)")
    views = [view for view in wanted if view in registered]
    if not views:
        names = ", ".join(str(view) for view in wanted)
        raise PosesError(f"none of the test views has a camera pose ({names}); choose other ones")
    trained_on = split == "paper"
    text = "test views, trained on too" if trained_on else "test views, held out of training"
    missing = len(wanted) - len(views)
    return TestViews(
        tuple(views), split, trained_on, text + (f"; {missing} without a pose" if missing else "")
    )


def evaluate_scene(
    model: Segmenter,
    scene: TestScene,
    divisors: Sequence[float],
    downscale: int,
    device: torch.device,
    out: Path,
) -> dict[str, Any]:
    """Render, score and picture the test views of a scene.

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
    views, scales = scene.test.views, figures.scale_names(divisors)
    # The view in which scores can be compared with masks, if there is one.
    shown = next((view for view in views if view in scene.masks), views[0])
    scores: dict[int, ViewScore] = {}
    with progress("evaluate", len(views), "views") as advance:
        for view in views:
            photo = load_photo(scene.photos.paths[view], downscale).numpy()
            packed = scene.masks.get(view)
            masks = None
            if packed is not None:
                masks = unpack_masks(shrink_labels(packed, downscale), len(model.labels))
            truth = None if masks is None else top_labels(masks)
            rendered = segment_view(model, scene.cameras, view, downscale, device)
            scores[view] = score_view(rendered, photo, masks)
            comparison = figures.comparison(photo, truth, rendered.label_map, model.labels)
            save_png(comparison, out / "overlays" / f"{view:03d}.png")
            selection = figures.selection_figure(photo, rendered.selection, scales)
            save_png(selection, out / "selection" / f"{view:03d}.png")
            if view == shown:
                save_png(
                    figures.logits_figure(photo, rendered.logits, model.labels), out / "logits.png"
                )
            advance()
    counts = [score.counts for score in scores.values() if score.counts is not None]
    total = sum(counts, np.zeros((len(model.labels) + 1,) * 2, dtype=np.int64))
    save_png(figures.confusion_figure(total, model.labels), out / "confusion.png")
    with atomic_path(out / "confusion.csv") as temporary:
        temporary.write_text(confusion_rows(total, model.labels))
    metrics = collect_metrics(scores, model.labels, scene.test)
    metrics["protocol"]["downscale"] = downscale
    metrics["protocol"]["resolution"] = (
        f"{scene.photos.width // downscale} x {scene.photos.height // downscale}"
    )
    write_json(out / "metrics.json", metrics)
    return metrics


def score_view(
    rendered: SegmentedView, photo: NDArray[np.uint8], masks: NDArray[np.bool_] | None
) -> ViewScore:
    """Compare a rendered view with its photo [h, w, 3] and, if there are any, masks [C, h, w]."""
    color = torch.from_numpy(rendered.color)
    target = torch.from_numpy(photo).float() / 255
    counts, paper = None, None
    if masks is not None:
        counts = confusion_matrix(top_labels(masks), rendered.label_map, len(masks))
        paper = paper_score(masks, rendered.label_map)
    return ViewScore(psnr(color, target), ssim(color, target), counts, paper)


def collect_metrics(
    scores: Mapping[int, ViewScore], labels: Sequence[str], test: TestViews
) -> dict[str, Any]:
    """Average the scores of views; numbers that need masks are missing if no view has any.

    Args:
        scores: view index -> score, at least one.
        labels: names of the labels.
        test: how the views were chosen.

    Returns:
        `miou`, `accuracy`, `psnr`, `ssim`, the former two in the paper's protocol, `per_class`,
        `per_view` and `protocol`.
    """
    counts = [score.counts for score in scores.values() if score.counts is not None]
    per_view = [iou_per_class(view) for view in counts]
    papers = [score.paper for score in scores.values() if score.paper is not None]
    total = sum(counts, np.zeros((len(labels) + 1,) * 2, dtype=np.int64))
    numbers = {
        "miou": miou(per_view),
        "accuracy": accuracy(total),
        "psnr": float(np.mean([score.psnr for score in scores.values()])),
        "ssim": float(np.mean([score.ssim for score in scores.values()])),
        "miou_uncovered_wrong": miou([paper.ious for paper in papers]),
        "accuracy_uncovered_wrong": (
            float(np.mean([paper.accuracy for paper in papers])) if papers else None
        ),
    }
    unmasked = "" if counts else "; no masks, so no miou and no accuracy"
    return {
        **_tidy(numbers),
        "per_class": _tidy(iou_by_label(per_view, labels)),
        "per_view": {str(view): score.numbers() for view, score in scores.items()},
        "protocol": {
            "split": test.split,
            "test_views": list(test.views),
            "trained_on_test_views": test.trained_on,
            "text": test.text + unmasked,
        },
    }


def _tidy(numbers: Mapping[str, float | None]) -> dict[str, float]:
    """Leave out what could not be computed and round, so that metric diffs are readable."""
    return {key: round(value, _DIGITS) for key, value in numbers.items() if value is not None}
