"""A page about a scene: everything that is needed to judge a run, in one file without network."""

from collections.abc import Sequence
from html import escape
from importlib.metadata import version
from pathlib import Path
from string import Template

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from ovs3d.apps.report_inputs import ReportInputs
from ovs3d.evaluation.figures import label_entries, overlay
from ovs3d.evaluation.metrics import confusion_matrix, iou_per_class
from ovs3d.evaluation.palette import NO_LABEL_COLOR, UNLABELLED, WRONG_COLOR
from ovs3d.evaluation.segment import segment_view, shrink_labels, top_labels
from ovs3d.exports.html import curves, figure, picture, slider, table
from ovs3d.files import atomic_path
from ovs3d.photos.dataset import NO_LABEL, load_photo
from ovs3d.photos.masks import unpack_masks
from ovs3d.progress import progress

_STAGES = ("poses", "clip_features", "dino_features", "reconstruct", "distill", "evaluate")
_PACKAGES = ("ovs3d", "torch", "open_clip_torch", "timm", "pycolmap", "numpy", "zarr")
_MOST_PHOTOS, _MOST_VIEWS = 60, 12
"""More would not fit into a page of 10 MB; evenly spaced ones stand for all."""
_THUMBNAIL, _VIEW, _FIGURE = 160, 420, 1100
"""Widths in pixels."""


def write_report(inputs: ReportInputs, out: Path) -> int:
    """Write the page, atomically; same inputs, same bytes.

    It shows the views and scores of `metrics.json`; those of views that are only reported stay in
    `test.json`.

    Args:
        inputs: a scene that stage evaluate has finished.
        out: the HTML file.

    Returns:
        Its size in bytes.

    Raises:
        StoreError: an output of a stage is missing or damaged.
    """
    page = _Page(inputs)
    template = Template(Path(__file__).with_name("report_page.html").read_text())
    content = template.substitute(page.parts()).encode()
    with atomic_path(out) as temporary:
        temporary.write_bytes(content)
    return len(content)


class _Page:
    """The parts of the page as HTML."""

    def __init__(self, inputs: ReportInputs) -> None:
        self.inputs, self.labels = inputs, inputs.model.labels
        self.metrics = inputs.metrics()
        # IoU [C] of the views shown that have masks, as they are drawn.
        self._ious: dict[int, NDArray[np.float64]] = {}

    def parts(self) -> dict[str, str]:
        """Return what the template asks for."""
        inputs = self.inputs
        photos, placed = len(inputs.photos), len(inputs.cameras)
        # Before the scores of labels, which tell the worst of these views.
        views = self._views()
        return {
            "title": escape(inputs.name),
            "summary": f"{photos} photos of {inputs.photos.width} x {inputs.photos.height}, "
            f"{placed} of them placed; {len(self.labels)} labels",
            "scored": escape(self.metrics["protocol"]["text"]),
            "scores": self._scores(),
            "labels": self._label_scores(),
            "legend": self._legend(),
            "views": views,
            "photos": self._thumbnails(),
            "poses": self._stored("poses", "overview.png", "cameras and points from above"),
            "losses": self._losses(),
            "features": self._stored("evaluate", "logits.png", "score of every label in one view")
            + self._stored("dino_features", "pca.png", "principal components of DINO's tokens"),
            "costs": self._costs(),
            "parameters": escape(
                yaml.safe_dump(dict(inputs.parameters), sort_keys=False, allow_unicode=True)
            ),
            "versions": table(
                ("package", "version"), ((name, version(name)) for name in _PACKAGES)
            ),
        }

    def _scores(self) -> str:
        names = ("miou", "accuracy", "psnr", "ssim")
        rows = [(name, f"{self.metrics[name]:.4g}") for name in names if name in self.metrics]
        return table(("score", "mean"), rows)

    def _label_scores(self) -> str:
        """Tabulate IoU per label, and for each the view in which it is worst."""
        rows = []
        for index, label in enumerate(self.labels):
            if label not in self.metrics["per_class"]:
                continue
            by_view = {
                view: float(ious[index])
                for view, ious in self._ious.items()
                if not np.isnan(ious[index])
            }
            worst = min(by_view, key=by_view.__getitem__, default=None)
            told = "" if worst is None else f"view {worst}: {by_view[worst]:.3f}"
            rows.append((label, f"{self.metrics['per_class'][label]:.3f}", told))
        return table(("label", "IoU", "worst view"), rows) if rows else ""

    def _views(self) -> str:
        """Compare photo, rendering, truth and prediction of the views that are scored."""
        shown = _evenly(self.metrics["protocol"]["views"], _MOST_VIEWS)
        parts = []
        with progress("report", len(shown), "views") as advance:
            for view in shown:
                parts.append(self._view(view))
                advance()
        return "".join(parts)

    def _view(self, view: int) -> str:
        inputs, count = self.inputs, len(self.labels)
        photo = load_photo(inputs.photos.paths[view], inputs.downscale).numpy()
        rendered = segment_view(inputs.model, inputs.cameras, view, inputs.downscale, inputs.device)
        predicted = overlay(photo, rendered.label_map, count)
        pairs = [(photo, rendered.picture, ("photo", "rendering"))]
        if view in inputs.masks:
            packed = shrink_labels(inputs.masks[view], inputs.downscale)
            truth = top_labels(unpack_masks(packed, count))
            self._ious[view] = iou_per_class(confusion_matrix(truth, rendered.label_map, count))
            wrong = photo.copy()
            wrong[(truth != rendered.label_map) & (truth != NO_LABEL)] = WRONG_COLOR
            pairs.append((overlay(photo, truth, count), predicted, ("truth", "prediction")))
            pairs.append((photo, wrong, ("photo", "wrong pixels")))
        else:
            pairs.append((photo, predicted, ("photo", "prediction")))
        sliders = "".join(
            slider(self._embed(below, names[0]), self._embed(above, names[1]), names)
            for below, above, names in pairs
        )
        numbers = self.metrics["per_view"].get(str(view), {})
        told = ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())
        return f'<h3>View {view}: {escape(told)}</h3><div class="row">{sliders}</div>'

    def _embed(self, pixels: NDArray[np.uint8], text: str) -> str:
        return picture(Image.fromarray(np.ascontiguousarray(pixels)), text, _VIEW)

    def _legend(self) -> str:
        entries = [
            *label_entries(self.labels),
            (UNLABELLED, NO_LABEL_COLOR),
            ("wrong", WRONG_COLOR),
        ]
        return "".join(
            f'<span><i style="background:rgb{color}"></i>{escape(name)}</span>'
            for name, color in entries
        )

    def _thumbnails(self) -> str:
        inputs = self.inputs
        shown = _evenly(range(len(inputs.photos)), _MOST_PHOTOS)
        downscale = max(1, inputs.photos.width // (2 * _THUMBNAIL))
        parts = []
        for view in shown:
            image = Image.fromarray(load_photo(inputs.photos.paths[view], downscale).numpy())
            without = "" if view in inputs.cameras.views else ", no pose"
            name = inputs.photos.names[view]
            parts.append(figure(picture(image, name, _THUMBNAIL), f"{view}{without}"))
        return "".join(parts)

    def _losses(self) -> str:
        charts = []
        for stage in ("reconstruct", "distill"):
            columns = self.inputs.losses(stage)
            steps = columns.pop("step", [])
            # Of another size than losses.
            quality = columns.pop("psnr", None)
            charts.append(curves(f"{stage}: loss by iteration", steps, columns))
            if quality is not None:
                title = f"{stage}: PSNR of training rays, dB"
                charts.append(curves(title, steps, {"psnr": quality}))
        return "".join(charts)

    def _stored(self, stage: str, name: str, caption: str) -> str:
        return figure(picture(self.inputs.picture(stage, name), caption, _FIGURE), caption)

    def _costs(self) -> str:
        rows = []
        for stage in _STAGES:
            files = [path for path in self.inputs.folder(stage).rglob("*") if path.is_file()]
            megabytes = sum(file.stat().st_size for file in files) / 1e6
            rows.append((stage, len(files), f"{megabytes:.1f}"))
        return table(("stage", "files", "MB"), rows)


def _evenly(values: Sequence[int], most: int) -> list[int]:
    count = min(most, len(values))
    return [values[rank * len(values) // count] for rank in range(count)]
