"""`ovs3d query`: look for any words in a scene that is distilled, without training."""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ovs3d.apps.labels import choose_views
from ovs3d.apps.project import PARAMS_FILE, RAW_FOLDER, built
from ovs3d.device import resolve_device
from ovs3d.distill.heads import center_texts
from ovs3d.distill.model import Segmentation, load_segmentation
from ovs3d.errors import SceneError, StoreError
from ovs3d.evaluation.drawing import framed, panel, row, save_png, scale_bar, stack
from ovs3d.evaluation.palette import viridis
from ovs3d.evaluation.segment import segment_view
from ovs3d.features.clip import load_clip
from ovs3d.params import load_scene_params
from ovs3d.progress import plain_console
from ovs3d.scene.cameras import load_cameras
from ovs3d.scene.dataset import NO_LABEL
from ovs3d.scene.labels import label_names, named, plain_words, read_labels

_SHARPNESS = 10.0
"""Inverse temperature of the softmax over query and label (LERF, Sec. 3.5)."""
_SAME_TEXT = 0.999
"""Cosine of a label's text features now and at training; precisions differ by less."""
_LONGEST_STEM = 80
"""Bytes of the name of a picture."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `ovs3d query`."""
    parser.add_argument("name", help="a key of `scenes` in params.yaml")
    parser.add_argument("words", help="what to look for, in quotes")
    parser.add_argument(
        "--views",
        type=int,
        nargs="+",
        help="photos by position; if not given, the validation views, or the test views",
    )
    parser.add_argument("--out", type=Path, help="PNG; data/query/NAME/WORDS.png if not given")


def run(arguments: argparse.Namespace) -> int:
    """Draw where the words fit better than the labels, tell the closest label, return 0.

    Raises:
        SceneError: there are no words, they are too long for the model, or a view has no pose.
        StoreError: the scene is not distilled, or with other labels or another CLIP model.
    """
    name, words = arguments.name, plain_words(arguments.words, "query")
    if not words:
        raise SceneError("query: no words; say what to look for, for example 'red apple'")
    params = load_scene_params(PARAMS_FILE, name)
    device = resolve_device(params.device)
    model = load_segmentation(built("distill", name, "segmentation.safetensors"), device)
    cameras = load_cameras(built("poses", name, "cameras.json"))
    held_out = params.val_views or params.test_views
    views = arguments.views or [view for view in held_out if view in cameras.views]
    views = views or choose_views(cameras.views)
    if strangers := set(views) - set(cameras.views):
        raise SceneError(f"--views: no photo of {name} with a pose is view {min(strangers)}")
    labels = read_labels(RAW_FOLDER / name / "segmentations" / "classes.txt")
    clip = params.stages.clip_features
    encoder = load_clip(clip.model, clip.weights, device)
    templates = params.stages.distill.templates
    text = encoder.encode_text([*labels, named(words)], templates)
    add_query(model, words, label_names(labels), text)
    figures, scores = [], []
    for view in views:
        rendered = segment_view(model, cameras, view, params.stages.evaluate.downscale, device)
        figures.append(query_figure(rendered.picture, rendered.logits, f"view {view}", words))
        scores.append(rendered.logits[rendered.label_map != NO_LABEL])
    out = arguments.out or Path("data/query") / name / f"{file_stem(words)}.png"
    save_png(framed(stack([*figures, scale_bar(0.0, 1.0, figures[0].width)])), out)
    console = plain_console()
    console.print(verdict(np.concatenate(scores), model), soft_wrap=True)
    console.print(f"views {', '.join(map(str, views))}: {out}", soft_wrap=True)
    return 0


def file_stem(words: str) -> str:
    """Name a picture by words: no hidden file, no folder, and short."""
    stem = words.replace("/", " ").replace("\\", " ").lstrip(". ") or "words"
    if len(stem.encode()) <= _LONGEST_STEM:
        return stem
    # What is cut off tells from others that begin alike.
    start = stem.encode()[:_LONGEST_STEM].decode(errors="ignore").rstrip()
    return f"{start}-{hashlib.sha256(words.encode()).hexdigest()[:8]}"


def add_query(model: Segmentation, words: str, labels: tuple[str, ...], text: Tensor) -> None:
    """Make words one more label of a segmentation, the last one.

    Args:
        model: with C labels; changed.
        words: their name.
        labels: names of the scene's labels as they are now.
        text: [C + 1, D] unit text features of labels and words.

    Raises:
        StoreError: labels or their texts are not those that the model was trained with.
    """
    known = model.text
    same = labels == model.labels and known.shape[1] == text.shape[1]
    text = center_texts(text, model.text_center) if same else text
    if not same or (known * text[:-1]).sum(dim=1).min() < _SAME_TEXT:
        raise StoreError(
            "the scene was distilled with other labels, another CLIP model or other templates; run "
            "stage distill again"
        )
    model.labels = (*model.labels, words)
    model.text = torch.cat((known, text[-1:]))


def pairwise_relevancy(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compare the last label with its strongest rival at each pixel (LERF, Sec. 3.5).

    Args:
        logits: [..., C + 1] cosines.

    Returns:
        [...] in [0, 1]; above 0.5 the last label beats all others.
    """
    lead = logits[..., -1] - logits[..., :-1].max(axis=-1)
    return np.asarray(1 / (1 + np.exp(-_SHARPNESS * lead)), dtype=np.float32)


def query_figure(
    picture: NDArray[np.uint8], logits: NDArray[np.float32], title: str, words: str
) -> Image.Image:
    """Draw a rendered view [h, w, 3], the relevancy of the words, and their cosine.

    Args:
        picture: [h, w, 3].
        logits: [h, w, C + 1] cosines, those of the words last.
        title: of the picture.
        words: what was looked for.
    """
    cosine = logits[..., -1]
    low, high = float(cosine.min()), float(cosine.max())
    panels = [
        panel(picture, title),
        panel(viridis(pairwise_relevancy(logits)), f"{words}, against the labels"),
        panel(viridis((cosine - low) / max(high - low, 1e-9)), f"cosine: {low:.2f} to {high:.2f}"),
    ]
    return row(panels)


def verdict(scores: NDArray[np.float32], model: Segmentation) -> str:
    """Tell how much the words win and which label they come closest to.

    Args:
        scores: [N, C + 1] cosines of pixels that have a label, those of the words last.
        model: with the words as its last label.
    """
    *labels, words = model.labels
    if not len(scores):
        return f"no ray of these views meets anything; '{words}' cannot be compared"
    won = float((scores.argmax(axis=1) == len(labels)).mean())
    owners = scores[:, :-1].argmax(axis=1)
    # Where the words fit best among the labels' pixels.
    means = [
        float(scores[owners == index, -1].mean()) if (owners == index).any() else -1.0
        for index in range(len(labels))
    ]
    texts = (model.text[:-1] @ model.text[-1]).cpu().numpy()
    closest, alike = int(np.argmax(means)), int(texts.argmax())
    return (
        f"'{words}' beats every label on {won:.1%} of the pixels; it fits best where "
        f"'{labels[closest]}' is (mean cosine {means[closest]:.2f}); as a text it is closest to "
        f"'{labels[alike]}' ({texts[alike]:.2f})"
    )
