"""Section `clip_features` of `params.yaml`."""

from typing import Annotated, Literal

from pydantic import Field

from ovs3d.features.params import EncoderParams
from ovs3d.sections import PositiveFloat, PositiveInt, Share


class ClipFeaturesParams(EncoderParams):
    """Algorithm 1: hierarchical windows and the encoder that embeds them."""

    model: str
    """open_clip model name, or the path of a model config file."""
    weights: str
    """open_clip pretrained tag, the path of a weights file, or both: TAG@FILE."""
    downscale: PositiveInt
    window_divisors: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)]
    strides_per_window: PositiveFloat
    crop_from: Literal["photo", "working"]
    turn: Literal[0, 90, 180, 270]
    """Degrees clockwise by which windows are turned before they are embedded."""
    views: Share
    """Of the training views; at 1 test photos get features too."""
    batch: PositiveInt
