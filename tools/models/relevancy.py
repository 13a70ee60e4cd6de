"""Window averages in two dimensions: what the small CLIP alone says about every pixel."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tools.models.clip_model import image_size
from tools.models.clip_zero_shot import Tokenizer, encode_texts, encode_windows
from tools.models.crops import SIZE_DIVISORS, Box, cut, sliding_boxes
from tools.models.scenes import Picture


def relevancy_maps(
    model: nn.Module, tokenizer: Tokenizer, picture: Picture, rng: np.random.Generator
) -> Tensor:
    """Return cosines between labels and pixel features: (sizes, labels, height, width) float32.

    A pixel's feature is the mean embedding of the windows over it, one map per window size.
    """
    texts = encode_texts(model, tokenizer, [entity.label for entity in picture.entities])
    shape = picture.entity_map.shape
    maps = []
    for divisor in SIZE_DIVISORS:
        boxes = sliding_boxes(shape, divisor, rng)
        windows = [cut(picture.photo, box, image_size(model)) for box in boxes]
        pixels = spread(boxes, encode_windows(model, windows), shape)
        maps.append((functional.normalize(pixels, dim=2) @ texts.T).permute(2, 0, 1))
    return torch.stack(maps)


def spread(boxes: Sequence[Box], values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return the sum over windows of their values at each pixel: (height, width, dim).

    Args:
        boxes: the windows.
        values: (windows, dim) float32.
        shape: (height, width).
    """
    left, top, right, bottom = torch.tensor(boxes).T
    # A rectangle is the double running sum of four signed corners.
    corners = torch.zeros((shape[0] + 1, shape[1] + 1, values.shape[1]), dtype=torch.float64)
    for rows, columns, sign in ((top, left, 1), (top, right, -1), (bottom, left, -1)):
        corners.index_put_((rows, columns), sign * values.double(), accumulate=True)
    corners.index_put_((bottom, right), values.double(), accumulate=True)
    return corners.cumsum(0).cumsum(1)[:-1, :-1].float()


def best_label_iou(maps: Tensor, picture: Picture) -> float:
    """Return the mean IoU over visible entities of the label map that the cosines give."""
    best = maps.mean(0).argmax(0).numpy() + 1
    scores = []
    for entity in picture.entities:
        truth, answer = picture.entity_map == entity.index, best == entity.index
        union = np.logical_or(truth, answer).sum()
        if union:
            scores.append(np.logical_and(truth, answer).sum() / union)
    return float(np.mean(scores))
