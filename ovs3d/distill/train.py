"""Distillation of CLIP and DINO features into a reconstructed field (Sec. 3, A.3)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ovs3d.device import adam, chunk_size, make_generator
from ovs3d.distill.bank import (
    DistillInputs,
    PixelBank,
    TokenBank,
    make_pixel_bank,
    make_token_bank,
)
from ovs3d.distill.calibration import calibrate_fda
from ovs3d.distill.fda import fda_loss
from ovs3d.distill.losses import color_loss, feature_loss, rda_loss, select_scales
from ovs3d.distill.model import (
    BYTES_PER_RAY,
    RAYS_PER_CHUNK,
    Appearance,
    Segmentation,
    new_segmentation,
)
from ovs3d.distill.params import DistillParams
from ovs3d.field.model import Field
from ovs3d.field.samples import RaySamples, join
from ovs3d.progress import progress
from ovs3d.resume import Checkpoint
from ovs3d.spill import Drawn, Spill, take
from ovs3d.training import train

TERMS = ("total", "color", "feature", "rda", "fda")


def distill(
    field: Field,
    inputs: DistillInputs,
    params: DistillParams,
    seed: int,
    checkpoint: Checkpoint | None = None,
) -> tuple[Segmentation, list[dict[str, float]], dict[str, str]]:
    """Train a segmentation on the training views of a scene.

    Args:
        field: from stage reconstruct, on the device of `inputs.text`; becomes part of the result.
        inputs: scene, stores and texts.
        params: section `distill`.
        seed: of initial values and of the order of rays and patches.
        checkpoint: where a killed training left its state; without one it starts over.

    Returns:
        The segmentation; its history, `step` and the unweighted means of the terms since the last
        entry, `total` being the weighted sum that is minimised; and rows of a table that say what
        baking dropped and how far views agree.
    """
    trainer, rows = make_distiller(field, inputs, params, seed)
    with progress("distill", params.iterations, "iterations") as advance:
        history = train(trainer, advance, checkpoint)
    return trainer.model, history, rows


def make_distiller(
    field: Field, inputs: DistillInputs, params: DistillParams, seed: int
) -> tuple["Distiller", dict[str, str]]:
    """Bake the training rays and return the training before its first iteration.

    Args:
        field: as for `distill`.
        inputs: as for `distill`.
        params: as for `distill`.
        seed: as for `distill`.

    Returns:
        The training, and the rows of the table that `distill` returns.
    """
    # Of the CPU on every device: which draws the same everywhere, and what the host has drawn it
    # need not ask a GPU for.
    generator = make_generator(seed, torch.device("cpu"))
    pixels = make_pixel_bank(field, inputs, inputs.pixel_views(), params)
    model = new_segmentation(
        field,
        inputs.labels,
        inputs.text,
        pixels.units.text_center,
        inputs.clip.scales,
        params,
        generator,
    )
    tokens = make_token_bank(field, inputs, inputs.token_views(), params.mass_kept)
    trainer = Distiller(model, pixels, tokens, params, generator, inputs.spill)
    rows = {
        f"weight dropped from rays of {name}": f"{bank.rays.dropped:.2%}"
        for name, bank in (("pixels", pixels), ("tokens", tokens))
    }
    if params.relevancy.consensus is not None:
        rows["pixels whose view contradicts the others"] = f"{pixels.targets.disagreement:.1%}"
    return trainer, rows


class Distiller:
    """Training over baked rays: a first phase with frozen features, then a joint one."""

    log_every, watched = 20, "total"

    def __init__(
        self,
        model: Segmentation,
        pixels: PixelBank,
        tokens: TokenBank,
        params: DistillParams,
        generator: torch.Generator,
        spill: Spill,
    ) -> None:
        """Prepare; the generator is of the CPU, whatever device the model is on."""
        self.model = model
        self.device = model.text.device
        self.pixels = pixels
        self.tokens = tokens
        self.params = params
        self.generator = generator
        self.joint = False
        self.fda_params = params.fda
        if params.units == "scene":
            similar = tokens.measure(params.patch_tokens, generator)
            self.fda_params = calibrate_fda(
                params.fda, similar, pixels.units.spread, pixels.targets.disagreement
            )
        for parameter in model.field.parameters():
            parameter.requires_grad_(False)
        # Until the joint phase the composited features of a ray are constants.
        banks = (pixels, tokens)
        self._constant_rays: Tensor | None
        (self._constant_rays,) = spill.collect(
            (rays,) for bank in banks for rays in self._composite_all(bank.rays.samples)
        )
        self.optimizer = self._optimizer()

    @property
    def iterations(self) -> int:
        """Of both phases."""
        return self.params.iterations

    def iterate(self, step: int) -> Tensor:
        """Do iteration `step` (from 1), in its phase; return the terms in the order of `TERMS`."""
        if step == self.params.joint_after + 1:
            self.start_joint_phase()
        return self.step()

    def entry(self, means: Sequence[float]) -> dict[str, float]:
        """Return mean terms by their names."""
        return dict(zip(TERMS, means, strict=True))

    def state(self) -> dict[str, Any]:
        """Return all that the next steps depend on besides the banks and the parameters."""
        return {
            "joint": self.joint,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state."""
        if state["joint"]:
            self.start_joint_phase()
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())

    def step(self) -> Tensor:
        """Do one iteration; return the terms in the order of `TERMS`, detached."""
        terms = self.terms(*self.draw())
        self.optimizer.zero_grad(set_to_none=True)
        terms[0].backward()
        self.optimizer.step()
        for group in self.optimizer.param_groups:
            group["lr"] *= self.params.lr_decay ** (1 / self.params.iterations)
        return terms.detach()

    def draw(self) -> tuple[Tensor, Tensor | None]:
        """Draw what an iteration looks at: the arguments of `terms`."""
        params, generator = self.params, self.generator
        pixels = self.pixels.draw(params.batch, generator)
        if not (params.fda.positive or params.fda.negative):
            return pixels, None
        return pixels, self.tokens.patch_index(params.patches, params.patch_tokens, generator)

    def terms(self, pixels: Tensor, patches: Tensor | None) -> Tensor:
        """Return the terms of the loss in the order of `TERMS`, differentiable.

        Args:
            pixels: int64 [B] on the CPU, rays of the pixel bank.
            patches: int64 [P, n] on the CPU, rays of the token bank; None without FDA.
        """
        weights, count = self.params.losses, len(pixels)
        token_rows = pixels[:0] if patches is None else patches.flatten()
        drawn, tokens = (Drawn.on(self.device, rows) for rows in (pixels, token_rows))
        samples = self.pixels.rays.select(drawn)
        if self._constant_rays is None:
            joined = join(samples, self.tokens.rays.select(tokens))
            corners = self.model.corners(joined)
            appearance = self.model.appearance(joined, corners)
            corners = corners.first(len(samples.weights))
            rays = appearance.rays
        else:
            corners = self.model.corners(samples)
            both = torch.cat((pixels, token_rows + len(self.pixels)))
            rays = take(self._constant_rays, Drawn.on(self.device, both))
        products = self.model.products()
        logits = products.logits(rays)
        color = feature = rda = fda = logits.new_zeros(())
        if weights.feature or weights.rda:
            selection = self.model.select(samples, corners)
            pixel_features, targets = self.pixels.features_of(drawn)
            if weights.feature:
                feature = feature_loss(products, rays[:count], pixel_features, selection)
            if weights.rda:
                # One scale: the labels have weighted theirs already.
                target = (
                    select_scales(targets, selection) if targets.shape[1] > 1 else targets[:, 0]
                )
                rda = rda_loss(logits[:count] / self.pixels.units.spread, target)
        if weights.color and self.joint:
            color = self._color_loss(appearance.first(count, len(samples.weights)), samples, drawn)
        if patches is not None:
            similarity = (
                take(self.tokens.tokens.flatten(0, 2), tokens).float().view(*patches.shape, -1)
            )
            fda = fda_loss(logits[count:].view(*patches.shape, -1), similarity, self.fda_params)
        total = weights.color * color + weights.feature * feature + weights.rda * rda + fda
        return torch.stack((total, color, feature, rda, fda))

    def _color_loss(self, appearance: Appearance, samples: RaySamples, pixels: Drawn) -> Tensor:
        rendered = self.model.colors(appearance, samples, take(self.pixels.rays.directions, pixels))
        return color_loss(rendered, take(self.pixels.colors, pixels).float() / 255)

    def start_joint_phase(self) -> None:
        """Let appearance and colour head follow; density stays frozen for good."""
        self.joint = True
        self._constant_rays = None
        field = self.model.field
        for module in (field.appearance, field.basis, field.rgb):
            for parameter in module.parameters():
                parameter.requires_grad_(True)
        # Fresh moments and full learning rates, as the released code starts this phase.
        self.optimizer = self._optimizer()

    def _optimizer(self) -> torch.optim.Adam:
        model, field, params = self.model, self.model.field, self.params
        groups: list[tuple[nn.Module, float]] = [(model.head, params.lr_heads)]
        if model.selection is not None:
            groups.append((model.selection.volume, params.lr_volumes))
            groups.append((model.selection.basis, params.lr_heads))
        if self.joint:
            # What the reconstruction has trained is fine-tuned, slower (Sec. A.3).
            groups.append((field.appearance, params.lr_volumes_joint))
            groups.append((field.basis, params.lr_heads_joint))
            groups.append((field.rgb, params.lr_heads_joint))
        return adam({"params": list(module.parameters()), "lr": lr} for module, lr in groups)

    def _composite_all(self, samples: RaySamples) -> Iterator[Tensor]:
        rays = torch.arange(len(samples.offsets) - 1, device=samples.offsets.device)
        # Half a chunk of rendering: these are samples of training rays, of which more are kept.
        most = chunk_size(RAYS_PER_CHUNK // 2, BYTES_PER_RAY, self.device)
        for kept in map(samples.select, torch.split(rays, most)):
            yield self.model.appearance(kept, self.model.corners(kept)).rays.detach()
