"""Section `dino_features` of `params.yaml`."""

from ovs3d.features.params import EncoderParams
from ovs3d.sections import PositiveFloat


class DinoFeaturesParams(EncoderParams):
    """One forward pass per view of a self-supervised ViT."""

    model: str
    """timm model name, or the path of a file with its arguments."""
    weights: str
    """`pretrained`, or a weights file."""
    downscale: PositiveFloat
    layer: int | None
    """From 0, or from -1 backwards; None: the last."""
    final_norm: bool
