"""How much there is of a scene: pixels, windows, tokens, and the bytes that stages make of them."""

from dataclasses import dataclass

from ovs3d.features.clip_params import ClipFeaturesParams
from ovs3d.features.encoder_cost import EncoderCost
from ovs3d.features.extract_clip import views_with_features
from ovs3d.features.windows import lattice
from ovs3d.params import Preset

FLOAT = 4
"""Bytes of a float32."""
_HALF, _BOX = 2, 8
"""Bytes of a float16, and of a window's place: four int16."""


@dataclass(frozen=True)
class SceneShape:
    """Numbers of photos, their pixels, labels, and views that are held out."""

    photos: int
    width: int
    height: int
    labels: int
    held_out: int

    @property
    def trained(self) -> int:
        """Number of views that are trained on."""
        return self.photos - self.held_out

    def pixels(self, downscale: float) -> int:
        """Return the pixels of a photo at `downscale`."""
        return int(self.width / downscale) * int(self.height / downscale)


@dataclass(frozen=True, eq=False)
class SceneSizes:
    """Counts and bytes that several stages share.

    Attributes:
        shape: of the scene.
        clip: cost of a window.
        dino: cost of a view.
        windows: per view, of each scale.
        tokens: DINO's, per view.
        clip_views: that CLIP sees; DINO sees all.
        clip_bytes: of the store of windows.
        token_bytes: of the store of tokens.
        field_bytes: of the volumes of density and appearance.
        volume_bytes: of the volume of density, and of the one that distillation adds.
    """

    shape: SceneShape
    clip: EncoderCost
    dino: EncoderCost
    windows: tuple[int, ...]
    tokens: int
    clip_views: int
    clip_bytes: int
    token_bytes: int
    field_bytes: float
    volume_bytes: float


def window_counts(params: ClipFeaturesParams, width: int, height: int) -> tuple[int, ...]:
    """Return how many windows a view has at each scale; its photo has `width` x `height` pixels."""
    size = (max(1, width // params.downscale), max(1, height // params.downscale))
    return tuple(
        lattice(*size, divisor, params.strides_per_window).count
        for divisor in params.window_divisors
    )


def count_sizes(
    params: Preset, shape: SceneShape, clip: EncoderCost, dino: EncoderCost, tokens: int
) -> SceneSizes:
    """Count; the last three arguments become attributes as they are."""
    field, share = params.reconstruct, params.clip_features.views
    windows = window_counts(params.clip_features, shape.width, shape.height)
    clip_views = len(views_with_features(shape.photos, range(shape.trained), share))
    # A plane has about as many nodes as a side of a cube of so many voxels.
    plane = field.voxels_end ** (2 / 3)
    density, appearance = (
        sum(ranks) * plane * FLOAT for ranks in (field.density_ranks, field.appearance_ranks)
    )
    return SceneSizes(
        shape=shape,
        clip=clip,
        dino=dino,
        windows=windows,
        tokens=tokens,
        clip_views=clip_views,
        clip_bytes=clip_views * sum(windows) * (_HALF * clip.dim + _BOX),
        token_bytes=shape.photos * tokens * _HALF * dino.dim,
        field_bytes=density + appearance,
        volume_bytes=density,
    )
