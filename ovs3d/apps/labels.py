"""`ovs3d labels`: try prompts on the cached CLIP features before any training."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.table import Table
from torch import Tensor

from ovs3d.device import resolve_device
from ovs3d.errors import SceneError, StoreError
from ovs3d.evaluation.competition import Competition, compete, prompt_figure
from ovs3d.evaluation.drawing import row, save_png
from ovs3d.evaluation.figures import scale_names
from ovs3d.features.clip import load_clip
from ovs3d.features.store import FeatureStore
from ovs3d.params import load_scene_params
from ovs3d.photos.dataset import Photos, load_photo, open_photos
from ovs3d.photos.labels import LABELS_FILE, Label, label_names, labels_of_option, read_labels
from ovs3d.photos.views import spread_out
from ovs3d.progress import plain_console
from ovs3d.project import PARAMS_FILE, RAW_FOLDER, built

VIEWS = 2
"""So many views are looked at if none are chosen."""
_RIVALS = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `ovs3d labels`."""
    parser.add_argument("name", help="a key of `scenes` in params.yaml")
    parser.add_argument(
        "--labels",
        help="comma list to try instead of the scene's labels, for example 'mug = blue mug | a "
        "cup, wall'; nothing is changed",
    )
    parser.add_argument(
        "--views", type=int, nargs="+", help=f"photos by position; {VIEWS} of them if not given"
    )
    parser.add_argument("--out", type=Path, help="PNG; data/labels/NAME.png if not given")


def run(arguments: argparse.Namespace) -> int:
    """Draw relevancy maps, print which labels compete, return 0."""
    scene = arguments.name
    params = load_scene_params(PARAMS_FILE, scene)
    folder = RAW_FOLDER / scene
    labels = _labels(arguments.labels, folder)
    photos = open_photos(folder / "images")
    store = FeatureStore.open(built("clip_features", scene, "clip.zarr"))
    views = arguments.views or spread_out(store.views, VIEWS)
    device = resolve_device(params.device)
    clip = params.stages.clip_features
    encoder = load_clip(clip.model, clip.weights, device)
    store.made_by(encoder.digest)
    text = encoder.encode_text(labels, params.stages.distill.templates)
    names = label_names(labels)
    competition, pictures = try_labels(
        photos, store, views, names, text, params.stages.distill.window_sigma
    )
    out = arguments.out or Path("data/labels") / f"{scene}.png"
    save_png(pictures, out)
    console = plain_console()
    console.print(competition_table(competition, names))
    console.print(
        "wins: share of the pixels where the label's cosine is the largest; margin: mean distance "
        "to the second there; small, and the two are hard to tell apart. Nothing may win what no "
        "label names: add the background."
    )
    console.print(f"relevancy maps of views {', '.join(map(str, views))}: {out}", soft_wrap=True)
    return 0


def try_labels(
    photos: Photos,
    store: FeatureStore,
    views: Sequence[int],
    labels: tuple[str, ...],
    text: Tensor,
    sigma: float | None = None,
) -> tuple[Competition, Image.Image]:
    """Compare labels with the features of every pixel of some views.

    Args:
        photos: the scene's photos.
        store: CLIP features of the views.
        views: photo indices.
        labels: names of the C labels.
        text: `[C, D]` unit text features; its device does the work.
        sigma: `distill.window_sigma`.

    Returns:
        Who competes, by cosines averaged over the scales, and a picture.

    Raises:
        StoreError: a view is not in the store, or the photos have another size.
    """
    features = store.load(views, text.device, sigma=sigma)
    scales = scale_names(store.attributes["window_divisors"])
    cosines, pictures = [], []
    for view in views:
        photo = load_photo(photos.paths[view], store.downscale).numpy()
        if photo.shape[:2] != (store.height, store.width):
            raise StoreError(
                f"{store.path}: made from photos of another size; run stage clip_features again"
            )
        relevancy = features.relevancy(view, text)
        cosines.append(relevancy.mean(dim=1).flatten(1))
        title = f"view {view}"
        pictures.append(prompt_figure(photo, relevancy, labels, scales, title))
    return compete(torch.cat(cosines, dim=1), text), row(pictures)


def competition_table(competition: Competition, labels: Sequence[str]) -> Table:
    """Tell for each label whom it competes with, the most contested first."""
    table = Table(
        "label", "wins", "margin", "second", "as a text closest to", title="which labels compete"
    )
    margins = [competition.margin(index) for index in range(len(labels))]
    # Labels that win nothing have no margin; they come first.
    for index in sorted(range(len(labels)), key=lambda i: np.nan_to_num(margins[i], nan=-1.0)):
        others = competition.texts[index].copy()
        others[index] = -np.inf
        closest = int(others.argmax())
        table.add_row(
            labels[index],
            f"{competition.shares[index]:.1%}",
            "" if np.isnan(margins[index]) else f"{margins[index]:.3f}",
            _rivals(competition, index, labels),
            f"{labels[closest]} ({others[closest]:.2f})",
        )
    return table


def _rivals(competition: Competition, label: int, labels: Sequence[str]) -> str:
    """Name the labels that are most often second where a label wins, with share and margin."""
    seconds = competition.seconds[label]
    first = [int(other) for other in (-seconds).argsort(kind="stable")[:_RIVALS] if seconds[other]]
    lines = [
        f"{labels[o]}: {seconds[o]:.0%}, by {competition.margins[label, o]:.3f}" for o in first
    ]
    return "\n".join(lines) or "wins nowhere: nothing in these views looks like it"


def _labels(words: str | None, folder: Path) -> tuple[Label, ...]:
    if words is None:
        labels = read_labels(folder / "segmentations" / LABELS_FILE)
    else:
        labels = labels_of_option(words)
    if len(labels) < 2:
        raise SceneError(f"{folder}: a single label has nothing to compete with; name more")
    return labels
