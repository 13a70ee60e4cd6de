"""Whether a device computes what the CPU computes: losses, gradients, views, the demo's mIoU."""

import argparse
import copy
import json
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.cases.distill import Setting
from benchmarks.distillation import PHASES, draw, gradients
from benchmarks.report import relative_differences
from benchmarks.synthetic import Scene, make_banks, make_scene
from ovs3d.device import make_generator
from ovs3d.distill.pixel_bank import PixelBank
from ovs3d.distill.token_bank import TokenBank
from ovs3d.distill.train import TERMS, Distiller
from ovs3d.features.window_features import WindowFeatures
from ovs3d.params import load_scene_params
from ovs3d.reconstruct.params import ReconstructParams
from ovs3d.reconstruct.rays import RayPool
from ovs3d.reconstruct.trainer import Trainer
from ovs3d.space.cameras import Cameras, pixel_centres
from ovs3d.spill import Spill
from stages import distill, evaluate, reconstruct
from stages._run import PARAMS_FILE

CPU = torch.device("cpu")
MOST_LOSS, MOST_GRADIENT, MOST_PIXEL, MOST_LABELS, MOST_MIOU = 1e-4, 1e-3, 1e-3, 1e-3, 0.01
"""Differences: of a loss relative to it, of a gradient relative to its largest entry, of a colour,
an opacity or a cosine, of the share of pixels with another label, of the demo's mIoU."""
_TRAINED = 5
"""Iterations of reconstruct whose losses are compared, and of each phase that are repeated."""
DATA = Path("data")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: what was looked at.
        value: what was found; not a number if it could not be.
        limit: the largest value that passes; None for what is only told.
        note: for the reader.
    """

    name: str
    value: float
    limit: float | None = None
    note: str = ""

    @property
    def failed(self) -> bool:
        """Whether the value is above its limit, or not a number."""
        return self.limit is not None and not self.value <= self.limit


def moved(value: Any, device: torch.device) -> Any:
    """Return a copy of what is made of tensors, on a device."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, nn.Module):
        return copy.deepcopy(value).to(device)
    if isinstance(value, dict):
        return {key: moved(each, device) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(moved(each, device) for each in value)
    if is_dataclass(value) and not isinstance(value, type):
        own = {each.name: moved(getattr(value, each.name), device) for each in fields(value)}
        return replace(value, **own)
    if isinstance(value, WindowFeatures):
        clone = copy.copy(value)
        vars(clone).update({name: moved(each, device) for name, each in vars(value).items()})
        return clone
    return value


@dataclass(frozen=True, eq=False)
class Baked:
    """A made-up scene baked on the CPU, to be distilled on any device from the same start."""

    scene: Scene
    banks: tuple[PixelBank, TokenBank]
    setting: Setting

    @classmethod
    def of(cls, setting: Setting) -> "Baked":
        """Make and bake a scene."""
        scene = make_scene(setting.sizes, setting.params)
        return cls(scene, make_banks(scene, setting.params), setting)

    def distiller(self, device: torch.device, phase: str = "first") -> Distiller:
        """Return the training on a device at the start of a phase."""
        model, (pixels, tokens) = moved(self.scene.model, device), moved(self.banks, device)
        spill = Spill(device, math.inf, Path())
        generator = make_generator(1, CPU)
        trainer = Distiller(model, pixels, tokens, self.setting.params, generator, spill)
        if phase == "joint":
            trainer.start_joint_phase()
        return trainer


def distillation_agrees(name: str, baked: Baked, device: torch.device) -> list[Row]:
    """Compare each loss of an iteration, and all gradients, in both phases."""
    rows = []
    drawn = draw(baked.scene, baked.setting.params)
    for phase in PHASES:
        losses, found = [], []
        for place in (CPU, device):
            trainer = baked.distiller(place, phase)
            terms = trainer.terms(*drawn)
            found.append(moved(gradients(trainer.model, terms), CPU))
            losses.append(dict(zip(TERMS, moved(terms.detach(), CPU), strict=True)))
        title = f"distill {name}, {phase} phase"
        for term, difference in relative_differences(*losses).items():
            if losses[0][term]:
                rows.append(Row(f"{title}: loss {term}", difference, MOST_LOSS))
        largest = max(relative_differences(*found).values())
        rows.append(Row(f"{title}: gradients", largest, MOST_GRADIENT))
    return rows


def views_agree(name: str, baked: Baked, device: torch.device, downscale: int) -> list[Row]:
    """Compare a rendered view."""
    cameras = baked.scene.cameras
    rays = cameras.rays(0, pixel_centres(cameras.width, cameras.height, downscale))
    here = baked.scene.model.render(*rays)
    there = moved(moved(baked.scene.model, device).render(*moved(rays, device)), CPU)
    rows = [
        Row(f"view {name}: {part}", _largest(getattr(here, part), getattr(there, part)), MOST_PIXEL)
        for part in ("color", "opacity", "logits", "selection")
    ]
    differ = (here.logits.argmax(1) != there.logits.argmax(1)).float().mean().item()
    return [*rows, Row(f"view {name}: share of pixels with another label", differ, MOST_LABELS)]


def make_pool(cameras: Cameras, downscale: int) -> RayPool:
    """Return training rays with made-up colours."""
    xy = pixel_centres(cameras.width, cameras.height, downscale)
    origins, directions = zip(*(cameras.rays(view, xy) for view in cameras.views), strict=True)
    count = len(cameras.views) * len(xy)
    colors = torch.randint(256, (count, 3), generator=make_generator(3, CPU), dtype=torch.uint8)
    return RayPool(torch.stack([each[0] for each in origins]), torch.cat(directions), colors)


def reconstruction_agrees(
    name: str, baked: Baked, params: ReconstructParams, device: torch.device
) -> list[Row]:
    """Compare the gradients of a first iteration, and the losses of a few."""
    pool, losses, found = make_pool(baked.scene.cameras, params.downscale), [], []
    for place in (CPU, device):
        trainer = Trainer(moved(pool, place), baked.scene.model.field.space, params, 0)
        first = trainer.step(1)[0]
        named = trainer.field.named_parameters()
        found.append({key: p.grad.cpu() for key, p in named if p.grad is not None})
        later = [trainer.step(step)[0] for step in range(2, _TRAINED + 1)]
        losses.append({"losses": torch.stack([first, *later]).cpu()})
    gradient, loss = (max(relative_differences(*pair).values()) for pair in (found, losses))
    return [
        Row(f"reconstruct {name}: gradients", gradient, MOST_GRADIENT),
        # Updates by Adam magnify rounding where a gradient is nearly zero.
        Row(f"reconstruct {name}: losses of {_TRAINED} iterations", loss, 10 * MOST_LOSS),
    ]


def repeats(name: str, baked: Baked, device: torch.device) -> list[Row]:
    """Do the same iterations twice; the largest difference of any parameter."""
    states = []
    for _ in range(2):
        trainer = baked.distiller(device)
        for phase in PHASES:
            if phase == "joint":
                trainer.start_joint_phase()
            for _ in range(_TRAINED):
                trainer.step()
        states.append(moved(dict(trainer.model.state_dict()), CPU))
    equal = all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    note = "equal" if equal else "sums of torch whose order a GPU does not fix: cumsum, atomic adds"
    return [
        Row(
            f"distill {name}, twice: parameters",
            max(relative_differences(*states).values()),
            MOST_GRADIENT,
            note,
        )
    ]


def demo_agrees(device: torch.device) -> list[Row]:
    """Reconstruct, distil and score the demo anew; compare with what a CPU had scored."""
    known = DATA / "evaluate/demo/metrics.json"
    if not known.exists():
        return [Row("demo: mIoU", math.nan, note="not run: `dvc repro` comes first")]
    params = load_scene_params(PARAMS_FILE, "demo").model_copy(update={"device": device.type})
    raw = DATA / "raw/demo"
    with tempfile.TemporaryDirectory() as folder:
        out = {name: Path(folder) / name for name in ("reconstruct", "distill", "evaluate")}
        given = {
            "scene": "demo",
            "images": raw / "images",
            "segmentations": raw / "segmentations",
            "classes": raw / "segmentations/classes.txt",
            **{name: DATA / name / "demo" for name in ("poses", "clip_features", "dino_features")},
            **out,
        }
        work: dict[str, Callable[[argparse.Namespace, Any], None]] = {
            "reconstruct": reconstruct.main,
            "distill": distill.main,
            "evaluate": evaluate.main,
        }
        for name, stage in work.items():
            out[name].mkdir()
            stage(argparse.Namespace(**{**given, "out": out[name]}), params)
        found = json.loads((out["evaluate"] / "metrics.json").read_text())["miou"]
    expected = json.loads(known.read_text())["miou"]
    note = f"{found:.4f} against {expected:.4f}"
    return [Row("demo: mIoU", abs(found - expected), MOST_MIOU, note)]


def _largest(expected: Tensor, found: Tensor) -> float:
    return (found - expected).abs().max().item()
