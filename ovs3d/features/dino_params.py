"""Section `dino_features` of `params.yaml`."""

from ovs3d.features.params import EncoderParams
from ovs3d.sections import PositiveFloat


class DinoFeaturesParams(EncoderParams):
    """One forward pass per view of a self-supervised ViT."""

    model: str
    """Name of a ViT that timm knows, or path of a `.json` with the name and its arguments. The
    paper has DINO's ViT-B/8 (Sec. A.2)."""
    weights: str
    """`pretrained` for timm's own weights of the model, or path of a weights file."""
    downscale: PositiveFloat
    """Factor by which the photo is made smaller before the network sees it, not necessarily whole
    (Sec. A.3: 5). More photo pixels mean more tokens."""
    layer: int | None
    """Block of the network whose tokens are taken, from 0, or from -1 backwards; null: the last."""
    final_norm: bool
    """Whether tokens pass the network's last layer norm. The released code takes them before it."""
