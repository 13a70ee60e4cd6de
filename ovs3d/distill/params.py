"""Section `distill` of `params.yaml`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ovs3d.sections import PositiveFloat, PositiveInt, Section, Share, Weight


class LossWeights(Section):
    """Weights of the supervision terms (Eq. 3) and of RDA (Eq. 8)."""

    color: Weight
    """Weight of the squared error of colours, the first term of Eq. 3. It counts after
    `joint_after` only; before, colours are frozen."""
    feature: Weight
    """Weight of the cosine between rendered feature and pixel feature, the second term of Eq. 3."""
    rda: Weight
    """Weight of the Relevancy-Distribution Alignment (Eq. 8). In the paper 1; in the units of the
    scene 20 (docs/losses.md)."""


class RelevancyParams(Section):
    """How the target of RDA is made from the cosines of labels and pixel features."""

    normalise: Literal["scene", "view"]
    """How scores of labels are made comparable. `view`: each label is stretched to [0, 1] over a
    view (Eq. 7); `scene`: scores are in units of their spread over the labels, a mean over the
    scene (docs/losses.md)."""
    sharpness: PositiveFloat
    """Factor of the scores before the softmax that makes them RDA's target (Eq. 8 has none); with
    `normalise: scene` of scores in units of their spread. Chosen on validation views of development
    scenes (docs/losses.md)."""
    consensus: PositiveFloat | None
    """If this share of the pixels has another best label in its own view than in the mean of all
    views, that mean replaces the scores of single views; a smaller share mixes it in, in
    proportion; null: never. Chosen on development scenes (docs/losses.md)."""
    scale_sharpness: Weight | None
    """A label weights the scales of windows by the softmax of this times its peak score in each, in
    units of the spread; null: the Selection Volume does, for each ray (Eq. 6). Chosen on
    development scenes (docs/losses.md)."""
    guide_radius: PositiveFloat | None
    """Radius of the guided filter that draws the target to the outlines of the photo, in sides of
    the smallest window; null: no filter. Chosen on development scenes (docs/losses.md)."""
    guide_epsilon: PositiveFloat
    """Variance of colours, which are in [0, 1], below which the guided filter sees no outline in
    them. Chosen with `guide_radius`."""

    @model_validator(mode="after")
    def _guide_needs_one_target(self) -> "RelevancyParams":
        if self.guide_radius is not None and self.scale_sharpness is None:
            raise ValueError("guide_radius needs scale_sharpness: it filters one target per pixel")
        return self


class FdaParams(Section):
    """Feature-Distribution Alignment (Eq. 9-14)."""

    positive: Weight
    """Weight lambda_pos of pairs of tokens more alike than `offset`, which attract (Eq. 14; Sec.
    A.2: 200). If this and `negative` are 0, FDA is left out."""
    negative: Weight
    """Weight lambda_neg of pairs less alike than `offset`, which repel (Eq. 14; Sec. A.2: 0.2)."""
    temperature: PositiveFloat
    """Temperature tau of the softmax over the labels (Eq. 10; Sec. A.2: 0.2), in units of the
    spread of the logits with `units: scene`."""
    offset: Annotated[float, Field(ge=-1, le=3)]
    """Cosine b of two DINO tokens that neither attract nor repel (Eq. 12; Sec. A.2: 0.7). With
    `units: scene` in standard deviations above the mean of the cosines, from -1 to 3."""
    disagreement: PositiveFloat | None
    """Both weights are multiplied by the share of pixels that `relevancy.consensus` finds, divided
    by this one; by 10 at most; null: they are not. With `units: scene` only (docs/losses.md)."""
    balance: bool
    """Whether pairs that attract and pairs that repel are averaged each by themselves (Eq. 14); if
    not, all pairs together (Eq. 12)."""
    divergence: Literal["js", "kl"]
    """Difference of the labels of two tokens. `js`: Jensen-Shannon divergence (Eq. 11); `kl`:
    Kullback-Leibler, which the released code computes."""


class DistillParams(Section):
    """Distillation of CLIP and DINO into the field."""

    downscale: PositiveInt
    """Pixels that are trained on are those of photo / this (Sec. A.3: 8)."""
    iterations: PositiveInt
    """Steps of the optimiser (Sec. A.3: 15000)."""
    joint_after: Annotated[int, Field(ge=0)]
    """Iterations in which appearance and colour head stay frozen; then they are trained too (Sec.
    A.3: 5000). Density always stays as stage `reconstruct` left it."""
    mass_kept: Share
    """Of every ray the fewest samples that hold this share of its weight are trained; 1 takes all.
    docs/speed.md has what less costs in precision."""
    batch: PositiveInt
    """Rays per iteration for all losses but FDA (Sec. A.3: 4096)."""
    patches: PositiveInt
    """Square patches of DINO tokens per iteration, for FDA (Sec. A.3: 8)."""
    patch_tokens: PositiveInt
    """Side of a patch in tokens (Sec. A.3: 256 pixels, which are 32); all pairs of tokens in it are
    compared."""
    head_hidden: PositiveInt
    """Width of the two hidden layers between appearance vectors and CLIP features. The head has no
    activations, as in the released code."""
    lr_volumes: PositiveFloat
    """Adam's learning rate of the Selection Volume at the start (Sec. A.3: 0.02)."""
    lr_heads: PositiveFloat
    """Adam's learning rate of the CLIP head, and of the linear map behind the Selection Volume, at
    the start (Sec. A.3: 0.0001)."""
    lr_volumes_joint: PositiveFloat
    """Adam's learning rate of the appearance volume after `joint_after` (Sec. A.3: 0.005)."""
    lr_heads_joint: PositiveFloat
    """Adam's learning rate of the map to appearance vectors and of the colour head after
    `joint_after` (Sec. A.3: 0.00005)."""
    lr_decay: Share
    """Factor by which learning rates fall, exponentially, in as many iterations as `iterations`
    (Sec. A.3: 0.1). After `joint_after` they start again in full."""
    templates: Annotated[tuple[str, ...], Field(min_length=1)]
    """Prompts, averaged; `{}` stands for each phrase of a label. The paper has the bare label."""
    window_sigma: PositiveFloat | None
    """Windows count for a pixel by a Gaussian of the distance to their centre, with this standard
    deviation in sides of a window; null: all alike (Algorithm 1). Chosen on development scenes
    (docs/losses.md)."""
    selection: Literal["learned", "mean"] | Annotated[int, Field(ge=0)]
    """How the scales of a pixel's feature are combined. `learned`: by the Selection Volume (Eq. 2);
    `mean`: all alike; a number: that scale alone, counted from 0 in
    `clip_features.window_divisors`."""
    units: Literal["scene", "none"]
    """`scene`: losses measure features, logits and similarities by their mean and spread over the
    scene, so that one set of numbers serves all encoders (docs/losses.md); `none`: as they are, as
    in the paper."""
    losses: LossWeights
    relevancy: RelevancyParams
    fda: FdaParams
