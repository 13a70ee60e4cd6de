"""Pictures of what the two small models see."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from torch import Tensor

from ovs3d.plots import save_plot
from tools.models.scenes import Picture

_DPI = 80


def save_pca(photo: Tensor, tokens: Tensor, path: Path) -> None:
    """Write a photo beside the first three principal components of its tokens as RGB.

    Args:
        photo: (3, height, width) uint8.
        tokens: (rows, columns, dim) float32.
        path: of the PNG.
    """
    parts = PCA(3).fit_transform(tokens.flatten(0, 1).numpy())
    low, high = np.percentile(parts, [2, 98], axis=0)
    colors = np.clip((parts - low) / (high - low), 0, 1).reshape(*tokens.shape[:2], 3)
    figure = Figure(figsize=(11, 4.4), dpi=_DPI, layout="constrained")
    axes = figure.subplots(1, 2)
    axes[0].imshow(photo.permute(1, 2, 0).numpy())
    axes[0].set_title("unseen photo")
    axes[1].imshow(colors, interpolation="nearest")
    axes[1].set_title("DINO tokens, three principal components")
    _finish(figure, axes, path)


def save_relevancy(picture: Picture, maps: Tensor, path: Path) -> None:
    """Write a photo, the relevancy of each label and the best label per pixel.

    Args:
        picture: the view.
        maps: (sizes, labels, height, width) cosines.
        path: of the PNG.
    """
    mean = maps.mean(0)
    count = len(picture.entities)
    columns = -(-(count + 2) // 2)
    figure = Figure(figsize=(3.2 * columns, 5.4), dpi=_DPI, layout="constrained")
    axes = figure.subplots(2, columns).ravel()
    axes[0].imshow(picture.photo.permute(1, 2, 0).numpy())
    axes[0].set_title("unseen photo")
    for entity, cosines, axis in zip(picture.entities, mean, axes[1:], strict=False):
        spread = (cosines - cosines.min()) / (cosines.max() - cosines.min())
        axis.imshow(spread.numpy(), cmap="turbo", vmin=0, vmax=1)
        axis.set_title(entity.label)
    best = torch.argmax(mean, dim=0).numpy()
    axes[count + 1].imshow(best, cmap="tab20", vmin=0, vmax=19, interpolation="nearest")
    axes[count + 1].set_title("best label per pixel")
    _finish(figure, axes, path)


def _finish(figure: Figure, axes: np.ndarray, path: Path) -> None:
    for axis in axes:
        axis.set_axis_off()
    save_plot(figure, path)
