"""The segmentation field: the radiance field with a CLIP head, scale selection and label texts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ovs3d.device import chunk_size
from ovs3d.distill.heads import ClipHead, InnerProducts, center_texts
from ovs3d.distill.params import DistillParams
from ovs3d.distill.selection import SelectionVolume
from ovs3d.errors import StoreError, one_line
from ovs3d.field.checkpoint import field_from_tensors, load_tensors, save_tensors
from ovs3d.field.march import march
from ovs3d.field.model import Field
from ovs3d.field.render import shade_rays, shade_samples
from ovs3d.field.samples import RaySamples, composite, total_weights
from ovs3d.field.vm import Corners, find_corners

KIND = "segmentation"
RAYS_PER_CHUNK, BYTES_PER_RAY = 1 << 13, 1 << 15
"""For `chunk_size`. So few rays at a time that the allocator reuses the memory of temporaries
instead of asking for fresh pages; a ray has some 64 samples with 128 numbers of 4 bytes each."""
_TINY = 1e-6


@dataclass(frozen=True, eq=False)
class RenderedRays:
    """What a segmentation shows along R rays.

    Attributes:
        color: [R, 3] in [0, 1].
        depth: [R] along the direction given: z-depth in world units for camera rays.
        opacity: [R] in [0, 1].
        logits: [R, C] cosines z of rendered feature and label texts (Eq. 4).
        selection: [R, N_s], sums to 1 over the scales (Eq. 2).
    """

    color: Tensor
    depth: Tensor
    opacity: Tensor
    logits: Tensor
    selection: Tensor


@dataclass(frozen=True, eq=False)
class Appearance:
    """What the appearance volume says about R rays with N samples.

    Attributes:
        components: [N, K] values a_i of the samples, before the basis B.
        rays: [R, appearance_dim + 1] composited vectors (B sum_i w_i a_i, sum_i w_i): the sum of
            weights, which the bias of a head is multiplied by, comes last.
    """

    components: Tensor
    rays: Tensor

    def first(self, rays: int, samples: int) -> "Appearance":
        """Return what it says about the first of the rays, which own the first of the samples."""
        return Appearance(self.components[:samples], self.rays[:rays])


class Segmentation(nn.Module):
    """A field in which every ray has a CLIP feature and thereby a label.

    Attributes:
        field: the radiance field; distillation never moves its density.
        head: appearance features to CLIP space.
        selection: None where the scales have fixed weights.
        labels: names of the C labels.
        text: [C, D] unit text features, less `text_center`.
        text_center: [D], what other texts lose before they are compared with rendered features.
        scale_weights: [N_s] fixed weights of the scales, used where `selection` is None.
    """

    text: Tensor
    text_center: Tensor
    scale_weights: Tensor

    def __init__(
        self,
        field: Field,
        head: ClipHead,
        selection: SelectionVolume | None,
        labels: tuple[str, ...],
        text: Tensor,
        text_center: Tensor,
        scale_weights: Tensor,
    ) -> None:
        super().__init__()
        self.field = field
        self.head = head
        self.selection = selection
        self.labels = labels
        self.register_buffer("text", text)
        self.register_buffer("text_center", text_center)
        self.register_buffer("scale_weights", scale_weights)

    def products(self) -> InnerProducts:
        """Return the head's inner products at its present weights."""
        return InnerProducts(self.head.affine(), self.text)

    def corners(self, samples: RaySamples) -> Corners:
        """Find nodes and weights that samples read; all volumes have one grid and share them."""
        return find_corners(samples.points, self.field.config.grid)

    def appearance(self, samples: RaySamples, corners: Corners) -> Appearance:
        """Evaluate the appearance volume along rays."""
        components = self.field.appearance.at(corners)
        sums = composite(components, samples.weights, samples.offsets)
        mass = total_weights(samples.weights, samples.offsets)[:, None]
        # The basis is linear, so it may follow the sum over samples.
        return Appearance(components, torch.cat((self.field.basis(sums), mass), dim=1))

    def colors(self, appearance: Appearance, samples: RaySamples, directions: Tensor) -> Tensor:
        """Return the colours [R, 3], not yet clamped to [0, 1], of rays with this appearance.

        Args:
            appearance: of the rays.
            samples: of the rays.
            directions: [R, 3] world.
        """
        if self.field.config.shading == "sample":
            return shade_samples(self.field, appearance.components, samples, directions)
        vectors, mass = appearance.rays[:, :-1], appearance.rays[:, -1:]
        return shade_rays(self.field, vectors / mass.clamp_min(_TINY), samples, directions)

    def select(self, samples: RaySamples, corners: Corners) -> Tensor:
        """Return the weights of the scales for each ray: [R, N_s], rows sum to 1."""
        if self.selection is None:
            return self.scale_weights.expand(len(samples.offsets) - 1, -1)
        weights: Tensor = self.selection(samples, corners)
        return weights

    @torch.no_grad()
    def render(
        self, origins: Tensor, directions: Tensor, weight_threshold: float = 1e-4
    ) -> RenderedRays:
        """Render rays in chunks, without gradients.

        Args:
            origins: [R, 3] float32, world.
            directions: [R, 3] float32, world; camera-z 1 makes depth a z-depth.
            weight_threshold: samples of at most this weight are left out.
        """
        products = self.products()
        chunks: list[tuple[Tensor, ...]] = []
        most = chunk_size(RAYS_PER_CHUNK, BYTES_PER_RAY, origins.device)
        for start in range(0, len(origins), most):
            rays = slice(start, start + most)
            samples = march(self.field, origins[rays], directions[rays], weight_threshold)
            corners = self.corners(samples)
            appearance = self.appearance(samples, corners)
            chunks.append(
                (
                    self.colors(appearance, samples, directions[rays]).clamp(0, 1),
                    samples.depth,
                    samples.opacity,
                    products.logits(appearance.rays),
                    self.select(samples, corners),
                )
            )
        return RenderedRays(*(torch.cat(parts) for parts in zip(*chunks, strict=True)))


def new_segmentation(
    field: Field,
    labels: tuple[str, ...],
    text: Tensor,
    text_center: Tensor,
    scales: int,
    params: DistillParams,
    generator: torch.Generator,
) -> Segmentation:
    """Create an untrained segmentation around a reconstructed field.

    Args:
        field: from stage reconstruct.
        labels: C names.
        text: [C, D] unit text features on the field's device.
        text_center: [D], what the texts share; 0 leaves them as they are.
        scales: N_s of the feature store.
        params: section `distill`.
        generator: source of the initial weights, of the CPU.
    """
    device = text.device
    head = ClipHead(field.config.appearance_dim, params.head_hidden, text.shape[1], generator)
    head = head.to(device)
    learned = params.selection == "learned"
    selection = SelectionVolume(field, scales, generator).to(device) if learned else None
    weights = torch.full((scales,), 1 / scales, device=device)
    if isinstance(params.selection, int):
        weights = functional.one_hot(torch.tensor(params.selection, device=device), scales).float()
    centered = center_texts(text, text_center)
    return Segmentation(field, head, selection, labels, centered, text_center, weights)


def save_segmentation(path: Path, model: Segmentation) -> None:
    """Write everything that rendering needs into one file, atomically."""
    config = {
        "field": model.field.config.to_dict(),
        "labels": list(model.labels),
        "head_hidden": model.head.layers[0].out_features,
        "selection": model.selection is not None,
    }
    save_tensors(path, KIND, model.state_dict(), config)


def load_segmentation(path: Path, device: torch.device) -> Segmentation:
    """Read what `save_segmentation` wrote.

    Raises:
        StoreError: the file is missing, truncated, foreign or of another version.
    """
    tensors, config = load_tensors(path, KIND, device)
    try:
        return _from_tensors(tensors, config)
    except (KeyError, TypeError, ValueError, RuntimeError, StoreError) as error:
        reason = one_line(error)
        raise StoreError(
            f"{path}: not a segmentation ({reason}); run stage distill again"
        ) from None


def _from_tensors(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> Segmentation:
    prefix = "field."
    own = {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
    field = field_from_tensors(own, config["field"])
    text, weights = tensors["text"], tensors["scale_weights"]
    head = ClipHead(field.config.appearance_dim, config["head_hidden"], text.shape[1], None, "meta")
    selection = SelectionVolume(field, len(weights), device="meta") if config["selection"] else None
    model = Segmentation(
        field, head, selection, tuple(config["labels"]), text, tensors["text_center"], weights
    )
    model.load_state_dict(dict(tensors), assign=True)
    return model
