"""Section `clip_features` of `params.yaml`."""

from typing import Annotated, Literal

from pydantic import Field

from ovs3d.features.params import EncoderParams
from ovs3d.sections import PositiveFloat, PositiveInt, Share


class ClipFeaturesParams(EncoderParams):
    """Algorithm 1: hierarchical windows and the encoder that embeds them."""

    model: str
    """Name of a model that open_clip knows, or path of a model configuration (`.json`). The paper
    has `ViT-B-16` (Sec. A.2)."""
    weights: str
    """Tag of pretrained weights that open_clip knows, path of a weights file, or `TAG@FILE`: a file
    with the activation and the normalisation of a tag."""
    downscale: PositiveInt
    """Factor by which the photo is made smaller to the working image, in whose pixels windows are
    laid out (released code: 8)."""
    window_divisors: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)]
    """One scale of windows each: their side is the shorter side of the working image divided by
    this. The paper has 5, 7, 10 (Sec. A.2); docs/losses.md has what others give on development
    scenes."""
    strides_per_window: PositiveFloat
    """The side of a window divided by this is the distance of neighbouring windows (Algorithm 1:
    4). The number of windows grows with its square."""
    crop_from: Literal["photo", "working"]
    """Where the pixels of a window come from. `photo`: the photo itself, which is sharper at the
    same cost; `working`: the working image, as in the released code."""
    turn: Literal["auto", 0, 90, 180, 270]
    """Degrees clockwise by which windows are turned before they are embedded, for photos that lie
    on their side. `auto`: what stage `poses` found; it cannot tell photos upside down."""
    views: Share
    """Share of the training views that get features, evenly spaced. At 1 all photos get them, those
    that are held out too, whose features no training reads."""
    batch: PositiveInt
    """Windows per call of the encoder, on a CPU no more than keep a core busy. It costs memory and
    changes the last bits of features."""
