"""Distillation of CLIP and DINO features into a reconstructed field (Sec. 3, A.3)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ovs3d.device import adam, make_generator
from ovs3d.distill.calibration import calibrate_fda
from ovs3d.distill.fda import fda_loss
from ovs3d.distill.inputs import DistillInputs
from ovs3d.distill.losses import color_loss, feature_loss, rda_loss
from ovs3d.distill.model import Segmentation, new_segmentation
from ovs3d.distill.params import DistillParams
from ovs3d.distill.phases import FirstPhase, JointPhase
from ovs3d.distill.pixel_bank import PixelBank, make_pixel_bank
from ovs3d.distill.selection import select_scales
from ovs3d.distill.token_bank import TokenBank, make_token_bank
from ovs3d.field.model import Field
from ovs3d.progress import progress
from ovs3d.resume import Checkpoint
from ovs3d.spill import Drawn, Spill, take
from ovs3d.training import train

TERMS = ("total", "color", "feature", "rda", "fda")
"""What an iteration returns, [5]: the first is minimised, the others are what it is made of."""


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
    """Return the training before its first iteration, all its rays baked; and rows of the table.

    Arguments and table are those of `distill`.
    """
    # Of the CPU, whatever the device: so the same is drawn everywhere, and the host, which has
    # drawn the rows, need not wait for a GPU to tell it.
    generator = make_generator(seed, torch.device("cpu"))
    pixels = make_pixel_bank(field, inputs, inputs.pixel_views(), params)
    text_center, scales = pixels.units.text_center, inputs.clip.scales
    model = new_segmentation(
        field, inputs.labels, inputs.text, text_center, scales, params, generator
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
    """Training over baked rays: first with frozen appearance, then with all but density."""

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
        """Prepare the first phase.

        Args:
            model: untrained; its device is the training's.
            pixels: for all losses but FDA.
            tokens: for FDA.
            params: section `distill`.
            generator: draws pixels and patches; of the CPU, whatever device the model is on.
            spill: takes the vectors of all rays, constant in the first phase.
        """
        self.model = model
        self.device = model.text.device
        self.pixels = pixels
        self.tokens = tokens
        self.params = params
        self.generator = generator
        self.fda_params = params.fda
        if params.units == "scene":
            similar = tokens.measure(params.patch_tokens, generator)
            self.fda_params = calibrate_fda(
                params.fda, similar, pixels.units.spread, pixels.targets.disagreement
            )
        for parameter in model.field.parameters():
            parameter.requires_grad_(False)
        self._phase: FirstPhase | JointPhase = FirstPhase(model, pixels, tokens, spill)
        self.optimizer = self._optimizer()

    @property
    def joint(self) -> bool:
        """Whether the joint phase has begun."""
        return isinstance(self._phase, JointPhase)

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
        """Take up what `state` returned, its tensors on the device of this training."""
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

        total = sum over color, feature and rda of weight * term, + fda, which has its weights
        lambda_pos and lambda_neg inside. A term of weight 0 is 0, and so is color in the first
        phase.

        Args:
            pixels: int64 [B] on the CPU, rays of the pixel bank.
            patches: int64 [P, n] on the CPU, rays of the token bank; None without FDA.
        """
        weights, count = self.params.losses, len(pixels)
        tokens = pixels[:0] if patches is None else patches.flatten()
        at_pixels, at_tokens = (Drawn.on(self.device, rows) for rows in (pixels, tokens))
        seen = self._phase.look(at_pixels, at_tokens)
        products = self.model.products()
        logits = products.logits(seen.rays)
        selection = self.model.select(seen.samples, seen.corners)
        color = feature = rda = fda = logits.new_zeros(())
        if weights.feature:
            features = self.pixels.features_of(at_pixels)
            feature = feature_loss(products, seen.rays[:count], features, selection)
        if weights.rda:
            target = select_scales(self.pixels.targets.at(at_pixels), selection)
            rda = rda_loss(logits[:count] / self.pixels.units.spread, target)
        if weights.color and seen.appearance is not None:
            appearance = seen.appearance.first(count, len(seen.samples.weights))
            directions = take(self.pixels.rays.directions, at_pixels)
            rendered = self.model.colors(appearance, seen.samples, directions)
            color = color_loss(rendered, self.pixels.colors_of(at_pixels))
        if patches is not None:
            dino, by_patch = self.tokens.tokens_of(at_tokens), (*patches.shape, -1)
            fda = fda_loss(logits[count:].view(by_patch), dino.view(by_patch), self.fda_params)
        total = weights.color * color + weights.feature * feature + weights.rda * rda + fda
        return torch.stack((total, color, feature, rda, fda))

    def start_joint_phase(self) -> None:
        """Let appearance and colour head follow; density stays frozen for good."""
        self._phase = JointPhase(self.model, self.pixels, self.tokens)
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
