"""Section `reconstruct` of `params.yaml`."""

from typing import Literal

from ovs3d.sections import PositiveFloat, PositiveInt, Ranks, Section, Shading, Share, Weight


class ReconstructParams(Section):
    """The radiance field (TensoRF VM decomposition) and its training."""

    space: Literal["auto", "ndc", "bounded", "contracted"]
    downscale: PositiveInt
    iterations: PositiveInt
    batch: PositiveInt
    density_ranks: Ranks
    appearance_ranks: Ranks
    appearance_dim: PositiveInt
    rgb_hidden: PositiveInt
    shading: Shading
    """What the colour head sees: the appearance vector of each sample, or their mean on a ray."""
    voxels_start: PositiveInt
    voxels_end: PositiveInt
    upsample_at: tuple[PositiveInt, ...]
    """Iterations at which the grid grows, evenly in log space, to `voxels_end`."""
    occupancy_at: tuple[PositiveInt, ...]
    """Iterations at which the occupancy grid is recomputed."""
    step_voxels: PositiveFloat
    lr_volumes: PositiveFloat
    lr_heads: PositiveFloat
    lr_decay: Share
    tv_density: Weight
    tv_appearance: Weight
    distortion: Weight
    """Weight of the term that gathers a ray's samples in one place (Mip-NeRF 360, Eq. 15)."""
    photo_colours: bool
    """Each photo has an affine change of colour of its own (exposure, white balance).

    PSNR and SSIM are then those of the right halves of the held-out views, after such a change has
    been fitted on the left halves.
    """
    opacity_threshold: Weight
    weight_threshold: Weight
