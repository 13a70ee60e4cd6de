"""One iteration of distillation in both forms: equal scene, pixels, tokens and samples."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.harness import Sample, timed_with_cpu
from benchmarks.naive.distill import NaiveBatch, lightest_kept, naive_terms
from benchmarks.synthetic import Scene, make_distiller
from ovs3d.device import adam, make_generator
from ovs3d.distill.model import Segmentation
from ovs3d.distill.params import DistillParams
from ovs3d.distill.pixel_bank import PixelBank
from ovs3d.spill import Drawn

PHASES = ("first", "joint")
NAIVE_CALLS, OURS_CALLS = 3, 20
"""Iterations of a phase, of which the median counts; one more before them does not count."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """What both forms get.

    Attributes:
        scene: made up.
        params: section `distill`.
        encoder: what the released code runs on the patches' crops in every iteration.
    """

    scene: Scene
    params: DistillParams
    encoder: Callable[[], object]


def naive(inputs: Inputs) -> Sample:
    """Measure iterations of each phase, and apart from them the encoder that belongs into both.

    Tokens come from the store as in our form: otherwise the two losses could not be compared.
    """
    params = inputs.params
    batch = naive_batch(inputs.scene, params, *draw(inputs.scene, params))
    values: dict[str, Tensor] = {}
    notes: dict[str, float] = {}
    for phase in PHASES:
        figures, found = _naive_phase(inputs, batch, phase)
        notes |= figures
        values |= found
    seconds = mean_iteration(notes, params)
    notes["encoder s"], notes["encoder CPU s"] = timed_with_cpu(inputs.encoder, NAIVE_CALLS)
    notes["mean with encoder s"] = seconds + notes["encoder s"]
    return Sample(seconds, values, notes)


def ours(inputs: Inputs) -> Sample:
    """Bake, then measure iterations of each phase."""
    params = inputs.params
    pixels, patches = draw(inputs.scene, params)
    start = time.perf_counter()
    distiller = make_distiller(inputs.scene, params)
    baking = time.perf_counter() - start
    untrained = {name: value.clone() for name, value in distiller.model.state_dict().items()}
    values: dict[str, Tensor] = {}
    notes: dict[str, float] = {}
    for phase in PHASES:
        if phase == "joint":
            distiller.model.load_state_dict(untrained)
            distiller.start_joint_phase()
        terms = distiller.terms(pixels, patches)
        values |= _named(phase, terms, gradients(distiller.model, terms))
        notes |= figures_of(phase, *timed_with_cpu(distiller.step, OURS_CALLS))
    notes["baking s"] = baking
    notes["mean with baking s"] = mean_iteration(notes, params) + baking / params.iterations
    return Sample(mean_iteration(notes, params), values, notes)


def draw(scene: Scene, params: DistillParams) -> tuple[Tensor, Tensor]:
    """Draw the pixels [B] and tokens [P, n] whose losses are compared."""
    generator = make_generator(2, torch.device("cpu"))
    count = len(scene.pixels["colors"])
    pixels = torch.randint(count, (params.batch,), generator=generator)
    views, height, width, _ = scene.tokens.shape
    side = params.patch_tokens
    corner = [
        torch.randint(high, (params.patches, 1, 1), generator=generator)
        for high in (views, height - side + 1, width - side + 1)
    ]
    step = torch.arange(side)
    rows = corner[0] * height + corner[1] + step[:, None]
    return pixels, (rows * width + corner[2] + step).flatten(1)


def naive_batch(scene: Scene, params: DistillParams, pixels: Tensor, patches: Tensor) -> NaiveBatch:
    """Collect what the naive form reads.

    Pixel features stand for a look-up in dense maps, which are not made: they would take 1.17 GB a
    view at the paper's size.

    Args:
        scene: made up.
        params: section `distill`.
        pixels: int64 [B], pixel rays view after view.
        patches: int64 [P, n], tokens view after view.
    """
    # No ray of this bank is read.
    bank = PixelBank(rays=None, **scene.pixels)  # type: ignore[arg-type]
    drawn = Drawn.on(pixels.device, pixels)
    centres = scene.cameras.world_from_camera[:, :, 3].float()
    per_view, tokens_per_view = len(scene.xy), len(scene.token_xy)
    rays = (centres[pixels // per_view], _directions(scene, scene.xy)[pixels])
    token_rays = (
        centres[patches // tokens_per_view],
        _directions(scene, scene.token_xy)[patches],
    )
    return NaiveBatch(
        origins=rays[0],
        directions=rays[1],
        colors=bank.colors_of(drawn),
        features=bank.features_of(drawn),
        relevancy=bank.targets.at(drawn),
        token_origins=token_rays[0],
        token_directions=token_rays[1],
        tokens=scene.tokens.flatten(0, 2)[patches].float(),
        lightest=lightest_kept(scene.model, *rays, params.mass_kept),
        token_lightest=torch.stack(
            [
                lightest_kept(scene.model, *patch, params.mass_kept)
                for patch in zip(*token_rays, strict=True)
            ]
        ),
    )


def gradients(model: Segmentation, terms: Tensor) -> dict[str, Tensor]:
    """Return the gradients of the total, the first of the terms, by parameter."""
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    found = torch.autograd.grad(terms[0], list(named.values()))
    return dict(zip(named, found, strict=True))


def _naive_phase(
    inputs: Inputs, batch: NaiveBatch, phase: str
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Return the figures of an iteration, and its loss and gradients."""
    model, joint = inputs.scene.model, phase == "joint"
    _unfreeze(model, joint)
    found: dict[str, Tensor] = {}
    values: dict[str, Tensor] = {}

    def iterate() -> None:
        terms = naive_terms(model, inputs.params, batch, joint)
        found.update(gradients(model, terms))
        values.update(_named(phase, terms.detach(), found))

    seconds = timed_with_cpu(iterate, NAIVE_CALLS)
    # Without its update, so that both phases start from the same parameters in both forms.
    update = timed_with_cpu(_update(model, found), NAIVE_CALLS)
    return figures_of(phase, seconds[0] + update[0], seconds[1] + update[1]), values


def _directions(scene: Scene, xy: Tensor) -> Tensor:
    return torch.cat([scene.cameras.rays(view, xy)[1] for view in scene.cameras.views])


def _unfreeze(model: Segmentation, joint: bool) -> None:
    field = model.field
    for parameter in field.parameters():
        parameter.requires_grad_(False)
    for module in (field.appearance, field.basis, field.rgb) if joint else ():
        for parameter in module.parameters():
            parameter.requires_grad_(True)


def _named(phase: str, terms: Tensor, found: dict[str, Tensor]) -> dict[str, Tensor]:
    values = {f"{phase} loss": terms[:1]}
    return values | {f"{phase} {name}": gradient for name, gradient in found.items()}


def _update(model: Segmentation, found: dict[str, Tensor]) -> Callable[[], object]:
    copies = [p.detach().clone().requires_grad_() for p in model.parameters() if p.requires_grad]
    for copy, gradient in zip(copies, found.values(), strict=True):
        copy.grad = gradient
    return adam([{"params": copies, "lr": 0.01}]).step


def figures_of(phase: str, seconds: float, cpu_seconds: float) -> dict[str, float]:
    """Return the notes about an iteration of a phase."""
    return {f"{phase} phase s": seconds, f"{phase} phase CPU s": cpu_seconds}


def mean_iteration(notes: dict[str, float], params: DistillParams) -> float:
    """Return the mean seconds of an iteration over the schedule from those of its phases."""
    share = params.joint_after / params.iterations
    return share * notes["first phase s"] + (1 - share) * notes["joint phase s"]
