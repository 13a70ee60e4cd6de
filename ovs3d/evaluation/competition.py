"""Which labels compete for the same pixels, judged by CLIP features alone, before any training."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ovs3d.distill.relevancy import normalise_relevancy
from ovs3d.evaluation.drawing import distinct, framed, legend, panel, row, scale_bar, stack
from ovs3d.evaluation.figures import label_entries, overlay
from ovs3d.evaluation.palette import viridis


@dataclass(frozen=True, eq=False)
class Competition:
    """How C labels share some pixels; the label with the greatest cosine wins a pixel.

    Attributes:
        shares: `[C]`, share of the pixels that a label wins.
        seconds: `[C, C]`, of the pixels that the row's label wins, the share in which the column's
            is second; zeros for a label that wins none.
        margins: `[C, C]`, mean difference of the two cosines there; NaN where there are none.
        texts: `[C, C]`, cosines of the labels' text features.
    """

    shares: NDArray[np.float64]
    seconds: NDArray[np.float64]
    margins: NDArray[np.float64]
    texts: NDArray[np.float64]

    def margin(self, label: int) -> float:
        """Return the mean margin over all pixels that a label wins; NaN if it wins none."""
        seconds = self.seconds[label]
        return float(np.nansum(seconds * self.margins[label])) if seconds.any() else float("nan")


def compete(cosines: Tensor, text: Tensor) -> Competition:
    """Find winner and runner-up of every pixel.

    Args:
        cosines: `[C, N]` between labels and pixel features, C at least 2.
        text: `[C, D]` unit text features.
    """
    count, pixels = cosines.shape
    best, order = cosines.topk(2, dim=0)
    pairs = order[0] * count + order[1]
    counts = torch.bincount(pairs, minlength=count * count).view(count, count).cpu().double()
    margins = torch.bincount(pairs, (best[0] - best[1]).double(), minlength=count * count)
    won = counts.sum(dim=1)
    return Competition(
        shares=(won / pixels).numpy(),
        seconds=(counts / won.clamp_min(1)[:, None]).numpy(),
        margins=(margins.view(count, count).cpu() / counts).numpy(),
        texts=(text @ text.T).cpu().double().numpy(),
    )


def prompt_figure(
    photo: NDArray[np.uint8],
    relevancy: Tensor,
    labels: Sequence[str],
    scales: Sequence[str],
    title: str,
) -> Image.Image:
    """Draw the relevancy of every label at every scale, as the losses see it, below the photo.

    Args:
        photo: `[h, w, 3]`.
        relevancy: `[C, N_s, h, w]` cosines.
        labels: names of the C labels.
        scales: names of the N_s scales.
        title: of the photo.
    """
    mean = relevancy.mean(dim=1)
    winners = mean.argmax(dim=0).to(torch.uint8).cpu().numpy()
    best = mean.topk(2, dim=0).values
    margin = (best[0] - best[1]).cpu().numpy()
    top = float(margin.max())
    panels = [
        panel(photo, title),
        panel(overlay(photo, winners, len(labels)), "best label, mean of scales"),
        panel(viridis(margin / max(top, 1e-9)), f"margin to the second: 0 to {top:.2f}"),
    ]
    rows = [row(panels)]
    maps = normalise_relevancy(relevancy).cpu().numpy()
    for index, label in enumerate(distinct(labels)):
        titles = [
            f"{label}, {scale}: {float(cosines.min()):.2f} to {float(cosines.max()):.2f}"
            for scale, cosines in zip(scales, relevancy[index], strict=True)
        ]
        rows.append(
            row([panel(viridis(values), t) for values, t in zip(maps[index], titles, strict=True)])
        )
    pictures = stack(rows)
    width = pictures.width
    return framed(stack([pictures, legend(label_entries(labels), width), scale_bar(0, 1, width)]))
