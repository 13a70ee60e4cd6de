"""Section `distill` of `params.yaml`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ovs3d.sections import PositiveFloat, PositiveInt, Section, Share, Weight


class LossWeights(Section):
    """Weights of the supervision terms (Eq. 3) and of RDA (Eq. 8)."""

    color: Weight
    feature: Weight
    rda: Weight


class RelevancyParams(Section):
    """How the target of RDA is made from the cosines of labels and pixel features."""

    normalise: Literal["scene", "view"]
    """`view`: each label stretched to [0, 1] over a view (Eq. 7); `scene`: in `ScoreUnits`."""
    bias: Annotated[float, Field(ge=0, le=1)]
    """Share of a label's score in the background that it loses; for `scene` only."""
    sharpness: PositiveFloat
    consensus: PositiveFloat | None
    scale_sharpness: Weight | None
    """Factor of a label's peaks before the softmax that weights its scales; None: as in Eq. 8."""
    guide_radius: PositiveFloat | None
    """Of the guided filter, in sides of the smallest window; None: no filter."""
    guide_epsilon: PositiveFloat
    """Variance of the colours, in [0, 1], below which they have no outline."""

    @model_validator(mode="after")
    def _guide_needs_one_target(self) -> "RelevancyParams":
        if self.guide_radius is not None and self.scale_sharpness is None:
            raise ValueError("guide_radius needs scale_sharpness: it filters one target per pixel")
        return self


class FdaParams(Section):
    """Feature-Distribution Alignment (Eq. 9-14)."""

    positive: Weight
    negative: Weight
    temperature: PositiveFloat
    """Of the softmax over labels; with `units: scene` in deviations of the logits."""
    offset: Annotated[float, Field(ge=-1, le=3)]
    """Cosine that neither attracts nor repels; with `units: scene` in deviations from the mean."""
    disagreement: PositiveFloat | None
    balance: bool
    divergence: Literal["js", "kl"]


class DistillParams(Section):
    """Distillation of CLIP and DINO into the field."""

    downscale: PositiveInt
    iterations: PositiveInt
    joint_after: Annotated[int, Field(ge=0)]
    mass_kept: Share
    """Of every ray the fewest samples that hold this share of its weight are baked."""
    batch: PositiveInt
    patches: PositiveInt
    patch_tokens: PositiveInt
    head_hidden: PositiveInt
    lr_volumes: PositiveFloat
    lr_heads: PositiveFloat
    lr_volumes_joint: PositiveFloat
    lr_heads_joint: PositiveFloat
    lr_decay: Share
    templates: Annotated[tuple[str, ...], Field(min_length=1)]
    window_sigma: PositiveFloat | None
    """Of a Gaussian around a window's centre, in its sides; None: plain mean (Algorithm 1)."""
    selection: Literal["learned", "mean"] | Annotated[int, Field(ge=0)]
    """How scales are combined; an index keeps that scale alone."""
    units: Literal["scene", "none"]
    """`scene`: by mean and spread over the scene, see `calibration`; `none`: as they are."""
    losses: LossWeights
    relevancy: RelevancyParams
    fda: FdaParams
