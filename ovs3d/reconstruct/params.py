"""Section `reconstruct` of `params.yaml`."""

from typing import Literal

from ovs3d.sections import PositiveFloat, PositiveInt, Ranks, Section, Shading, Share, Weight


class ReconstructParams(Section):
    """The radiance field (TensoRF VM decomposition) and its training."""

    space: Literal["auto", "ndc", "bounded", "contracted"]
    """Coordinates that the field lives in. `ndc`: for cameras that all face one way (NeRF, Appendix
    C); `bounded`: a box; `contracted`: all of space; `auto`: what fits cameras and sparse
    points."""
    downscale: PositiveInt
    """The field is trained on the rays of photo / this."""
    iterations: PositiveInt
    """Steps of the optimiser (TensoRF: 25000 for forward-facing scenes)."""
    batch: PositiveInt
    """Rays per iteration, drawn from all training photos (TensoRF: 4096)."""
    density_ranks: Ranks
    """Components of the density volume: planes over xy, xz and yz, each times a line along the
    third axis (TensoRF, Sec. 3.2). TensoRF has 16, 4, 4 for forward-facing scenes."""
    appearance_ranks: Ranks
    """Components of the volume of appearance, likewise, which colour and CLIP features share
    (TensoRF: 48, 12, 12 for forward-facing scenes)."""
    appearance_dim: PositiveInt
    """Length of the appearance vector of a point, which the heads of colour and CLIP turn into what
    they render (TensoRF: 27)."""
    rgb_hidden: PositiveInt
    """Width of the two hidden layers of the colour head (TensoRF: 128)."""
    shading: Shading
    """What the colour head sees. `sample`: the appearance vector of every sample of a ray, as in
    TensoRF; `ray`: only their weighted mean (deferred shading), which is faster."""
    voxels_start: PositiveInt
    """Nodes of the grid at the start (TensoRF: 128^3). The shape of the scene divides them among
    the axes."""
    voxels_end: PositiveInt
    """Nodes of the grid after the last growth (TensoRF: 640^3 for forward-facing scenes)."""
    upsample_at: tuple[PositiveInt, ...]
    """Iterations at which the grid grows, in even steps of the logarithm, from `voxels_start` to
    `voxels_end`; if empty, it has its last size from the start."""
    occupancy_at: tuple[PositiveInt, ...]
    """Iterations after which the mask of empty voxels, which rays skip, is made anew; it also is at
    every growth of the grid and at the end."""
    step_voxels: PositiveFloat
    """Distance of the samples on a ray in voxels (TensoRF: 0.5). Time and memory grow as it
    shrinks."""
    lr_volumes: PositiveFloat
    """Adam's learning rate of planes and lines at the start (TensoRF: 0.02)."""
    lr_heads: PositiveFloat
    """Adam's learning rate of the linear map to appearance vectors, of the colour head and of
    `photo_colours` at the start (TensoRF: 0.001)."""
    lr_decay: Share
    """Learning rates at the last iteration relative to the start, between them an exponential curve
    (TensoRF: 0.1)."""
    tv_density: Weight
    """Weight of the total variation of the density planes, which makes them smooth (TensoRF, Eq. 9;
    1 in its code for forward-facing scenes). It falls with the learning rates, as there."""
    tv_appearance: Weight
    """Weight of the total variation of the appearance planes, likewise."""
    distortion: Weight
    """Weight of the term that gathers the weight of a ray in one place, against floaters (Mip-NeRF
    360, Eq. 15). It rises from 0 to this between the last growth of the grid and the end."""
    photo_colours: bool
    """Each photo has an affine change of colour of its own (exposure, white balance).

    PSNR and SSIM are then those of the right halves of the held-out views, after such a change has
    been fitted on the left halves.
    """
    opacity_threshold: Weight
    """Opacity of one step along a ray, in [0, 1], up to which a voxel counts as empty and is
    skipped (TensoRF: 0.0001)."""
    weight_threshold: Weight
    """Weight in the colour of a ray, in [0, 1], up to which a sample gets no colour in training;
    samples that no more light than this reaches are left out (TensoRF: 0.0001)."""
