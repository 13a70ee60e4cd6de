"""Pictures that explain a result: overlays, chosen scales, label scores.

Functions take arrays of one view at h x w pixels and return a Pillow image.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ovs3d.evaluation.drawing import Color, distinct, framed, legend, panel, row, scale_bar, stack
from ovs3d.evaluation.palette import (
    NO_LABEL_COLOR,
    UNLABELLED,
    WRONG_COLOR,
    blend,
    colorize,
    label_colors,
    viridis,
)
from ovs3d.photos.dataset import NO_LABEL

_OVERLAY_OPACITY = 0.65
_DIMMED = 0.35
_NEAREST = 1e-3
"""Depth in world units below which nothing is told apart."""


def label_entries(labels: Sequence[str]) -> list[tuple[str, Color]]:
    """Pair each label with its colour, for a legend."""
    colors = label_colors(len(labels)).tolist()
    return [(label, (r, g, b)) for label, (r, g, b) in zip(distinct(labels), colors, strict=True)]


def scale_names(divisors: Sequence[float]) -> list[str]:
    """Name scales by the side of their windows, as a part of the shorter side s of the photo.

    The index in brackets is the one that `distill.selection` takes.
    """
    return [f"s/{divisor:g} ({index})" for index, divisor in enumerate(divisors)]


def overlay(
    picture: NDArray[np.uint8], label_map: NDArray[np.uint8], count: int
) -> NDArray[np.uint8]:
    """Tint a picture [h, w, 3] with the colours of its labels [h, w].

    The picture is greyed first: red things under a blue label would look like a third label.
    """
    return blend(_grey(picture), colorize(label_map, count), _OVERLAY_OPACITY)


def comparison(
    photo: NDArray[np.uint8],
    truth: NDArray[np.uint8] | None,
    prediction: NDArray[np.uint8],
    labels: Sequence[str],
) -> Image.Image:
    """Draw photo, truth, prediction and wrong pixels side by side, with a legend.

    Args:
        photo: [h, w, 3].
        truth: [h, w] label indices, `NO_LABEL` where no mask covers; None for a view without
            masks, which then shows photo and prediction only.
        prediction: [h, w] label indices, `NO_LABEL` where the ray met nothing.
        labels: names of the labels.
    """
    entries = label_entries(labels)
    black = [UNLABELLED] if (prediction == NO_LABEL).any() else []
    panels = [panel(photo, "photo")]
    predicted = panel(overlay(photo, prediction, len(labels)), "prediction")
    if truth is None:
        panels.append(predicted)
    else:
        covered = truth != NO_LABEL
        wrong = covered & (truth != prediction)
        share = wrong.sum() / max(1, covered.sum())
        panels += [
            panel(overlay(photo, truth, len(labels)), "truth"),
            predicted,
            panel(_highlight(photo, wrong, covered), f"wrong: {share:.1%}"),
        ]
        entries.append(("wrong", WRONG_COLOR))
        if not covered.all():
            black.insert(0, "no mask")
    if black:
        entries.append((" or ".join(black), NO_LABEL_COLOR))
    pictures = row(panels)
    return framed(stack([pictures, legend(entries, pictures.width)]))


def rendering_figure(
    photo: NDArray[np.uint8], rendering: NDArray[np.uint8], depth: NDArray[np.float32]
) -> Image.Image:
    """Draw photo and rendering [h, w, 3] and inverse depth [h, w] side by side.

    Near is bright; inverse depth shows differences in front as clearly as the NDC grid has them.
    """
    inverse = 1 / depth.clip(min=_NEAREST)
    low, high = np.quantile(inverse, [0.01, 0.99])
    shade = ((inverse - low) / max(high - low, 1e-6)).clip(0, 1)
    return row(
        [
            panel(photo, "photo"),
            panel(rendering, "rendering"),
            panel(viridis(shade), "inverse depth"),
        ]
    )


def selection_figure(
    photo: NDArray[np.uint8], selection: NDArray[np.float32], names: Sequence[str]
) -> Image.Image:
    """Draw which scale of windows each pixel listens to.

    Args:
        photo: [h, w, 3].
        selection: [h, w, N_s], sums to 1 over the scales.
        names: of the N_s scales.
    """
    count = len(names)
    chosen = selection.argmax(axis=-1).astype(np.uint8)
    panels = [panel(photo, "photo"), panel(overlay(photo, chosen, count), "chosen scale")]
    shares = selection.reshape(-1, count).mean(axis=0)
    panels += [
        panel(viridis(selection[..., scale]), f"{name}: {shares[scale]:.0%} on average")
        for scale, name in enumerate(names)
    ]
    pictures = row(panels)
    width = pictures.width
    keys = [legend(label_entries(names), width), scale_bar(0.0, 1.0, width)]
    return framed(stack([pictures, *keys]))


def logits_figure(
    photo: NDArray[np.uint8], logits: NDArray[np.float32], labels: Sequence[str]
) -> Image.Image:
    """Draw the score of every label at every pixel, on one scale, so that labels compare.

    Args:
        photo: [h, w, 3].
        logits: [h, w, C] cosines.
        labels: names of the C labels.
    """
    low, high = float(logits.min()), float(logits.max())
    scaled = (logits - low) / max(high - low, 1e-9)
    panels = [panel(photo, "photo")]
    for index, label in enumerate(distinct(labels)):
        scores = logits[..., index]
        title = f"{label}: {scores.min():.2f} to {scores.max():.2f}"
        panels.append(panel(viridis(scaled[..., index]), title))
    columns = math.ceil(math.sqrt(len(panels)))
    rows = [row(panels[first : first + columns]) for first in range(0, len(panels), columns)]
    return framed(stack([*rows, scale_bar(low, high, rows[0].width)]))


def _highlight(
    photo: NDArray[np.uint8], wrong: NDArray[np.bool_], covered: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Paint wrong pixels on a dimmed grey photo; pixels without mask are black."""
    canvas: NDArray[np.uint8] = np.rint(127 + _DIMMED * (_grey(photo) - 127.0)).astype(np.uint8)
    canvas[wrong] = WRONG_COLOR
    canvas[~covered] = NO_LABEL_COLOR
    return canvas


def _grey(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Take the colour out of a picture [h, w, 3]."""
    mean = picture.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    return np.asarray(np.rint(mean), dtype=np.uint8)
