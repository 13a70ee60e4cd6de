"""The compute of the stages on a device that is not the CPU: nothing is left behind, same numbers.

The encoders of CLIP and DINO have theirs in tests/features.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ovs3d.apps.labels import try_labels
from ovs3d.distill.model import Segmentation, load_segmentation, save_segmentation
from ovs3d.distill.train import distill
from ovs3d.evaluation.heldout import score_field
from ovs3d.evaluation.report import EvaluationInputs, evaluate_scene
from ovs3d.evaluation.scored_views import choose_views
from ovs3d.exports.params import RenderParams
from ovs3d.exports.renderings import export_scene
from ovs3d.field import compact, samples
from ovs3d.field.checkpoint import load_field, save_field
from tests.devices import elsewhere
from tests.distill.params import distill_params
from tests.features.stores import DIM, VIEWS
from tests.synthetic import LABELS
from tests.world import HELD_OUT, World, make_world, reconstructed

CPU = torch.device("cpu")
# Training feeds rounding back, and kernels of the CPU round as they like.
TOLERANCE: dict[str, Any] = {"rtol": 1e-3, "atol": 1e-4}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def field_file(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A field that is the same on every device, in a file."""
    made, _ = reconstructed(world, CPU)
    path = tmp_path_factory.mktemp("field") / "field.safetensors"
    save_field(path, made)
    return path


def distilled(
    world: World,
    field_file: Path,
    device: torch.device,
    folder: Path,
    memory_budget: float = math.inf,
    **changes: object,
) -> Any:
    """Distil into the field of a file."""
    inputs = world.inputs(device, folder, memory_budget)
    params = distill_params(iterations=6, joint_after=3, **changes)
    return distill(load_field(field_file, device), inputs, params, 0)[:2]


@pytest.fixture(scope="module")
def segmentation(world: World, field_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("segmentation")
    model, _ = distilled(world, field_file, CPU, folder)
    save_segmentation(folder / "segmentation.safetensors", model)
    return folder / "segmentation.safetensors"


def assert_same(found: torch.nn.Module, expected: torch.nn.Module) -> None:
    states = found.state_dict(), expected.state_dict()
    assert list(states[0]) == list(states[1])
    for name, value in states[0].items():
        assert value.device.type != "cpu", f"{name} was left on the CPU"
        torch.testing.assert_close(value.cpu(), states[1][name], **TOLERANCE, msg=name)


@pytest.mark.parametrize("shading", ["ray", "sample"])
def test_reconstruction_elsewhere_is_that_of_the_cpu(world: World, shading: str) -> None:
    expected, losses = reconstructed(world, CPU, shading=shading)
    with elsewhere() as device:
        found, losses_there = reconstructed(world, device, shading=shading)
        assert_same(found, expected)
    assert losses_there[-1]["loss"] == pytest.approx(losses[-1]["loss"], rel=1e-3)


def test_held_out_views_are_scored_elsewhere(world: World, field_file: Path) -> None:
    def score(device: torch.device) -> dict[str, Any]:
        loaded = load_field(field_file, device)
        return score_field(loaded, world.photos, world.scene.cameras, HELD_OUT, 2)

    expected = score(CPU)
    with elsewhere() as device:
        found = score(device)
    assert found["psnr"] == pytest.approx(expected["psnr"], rel=1e-4)
    assert found["ssim"] == pytest.approx(expected["ssim"], abs=1e-3)


@pytest.mark.parametrize("memory_budget", [math.inf, 0.0], ids=["in memory", "on disk"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"selection": "mean"}, {"selection": 1}],
    ids=["learned", "mean", "one scale"],
)
def test_distillation_elsewhere_is_that_of_the_cpu(
    world: World, field_file: Path, tmp_path: Path, changes: dict[str, Any], memory_budget: float
) -> None:
    expected, losses = distilled(world, field_file, CPU, tmp_path / "here", **changes)
    with elsewhere() as device:
        there = tmp_path / "there"
        found, losses_there = distilled(world, field_file, device, there, memory_budget, **changes)
        assert_same(found, expected)
    assert losses_there[-1] == pytest.approx(losses[-1], rel=1e-2, abs=1e-3)


def test_distillation_from_stores_on_disk_gives_the_same_bits(
    world: World, field_file: Path, tmp_path: Path
) -> None:
    expected, losses = distilled(world, field_file, CPU, tmp_path / "memory")
    found, losses_from_disk = distilled(
        world, field_file, CPU, tmp_path / "disk", memory_budget=0.0
    )
    assert losses_from_disk == losses
    for name, value in expected.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name


def test_evaluation_elsewhere_is_that_of_the_cpu(
    world: World, segmentation: Path, tmp_path: Path
) -> None:
    cameras = world.scene.cameras
    views = choose_views((), HELD_OUT, world.masks, cameras.views, "held_out")
    inputs = EvaluationInputs(world.photos, cameras, world.masks, views)

    def evaluate(device: torch.device) -> dict[str, Any]:
        model = load_segmentation(segmentation, device)
        return dict(evaluate_scene(model, inputs, (2, 3), 2, device, tmp_path / device.type))

    expected = evaluate(CPU)
    with elsewhere() as device:
        found = evaluate(device)
    assert found["psnr"] == pytest.approx(expected["psnr"], rel=1e-4)
    # A pixel on the border of two labels may fall to either.
    assert found["accuracy"] == pytest.approx(expected["accuracy"], abs=2e-3)


def test_rendering_elsewhere_is_that_of_the_cpu(
    world: World, segmentation: Path, tmp_path: Path
) -> None:
    params = RenderParams(downscale=4, frames=2, fps=12, points=200)

    def export(device: torch.device) -> Any:
        model = load_segmentation(segmentation, device)
        out = tmp_path / device.type
        return export_scene(model, world.scene.cameras, HELD_OUT, params, device, out)

    expected = export(CPU)
    with elsewhere() as device:
        assert export(device) == expected


def test_prompts_are_tried_elsewhere(world: World) -> None:
    text = normalize(torch.randn(len(LABELS), DIM, generator=torch.Generator().manual_seed(1)))
    expected, _ = try_labels(world.photos, world.clip, VIEWS, LABELS, text)
    with elsewhere() as device:
        found, _ = try_labels(world.photos, world.clip, VIEWS, LABELS, text.to(device))
    np.testing.assert_allclose(found.shares, expected.shares, atol=1e-3)


@pytest.mark.parametrize("stage", ["reconstruct", "distill", "render"])
def test_a_tensor_left_on_the_cpu_is_found(
    world: World,
    field_file: Path,
    segmentation: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
) -> None:
    """One line that forgets the device, deep in what all stages share."""
    original: Callable[..., Tensor] = compact.ray_of_sample

    def forgetful(offsets: Tensor, total: int) -> Tensor:
        return original(offsets.cpu(), total)

    with elsewhere() as device:
        model: Segmentation = load_segmentation(segmentation, device)
        monkeypatch.setattr(samples, "ray_of_sample", forgetful)
        work: dict[str, Callable[[], object]] = {
            "reconstruct": lambda: reconstructed(world, device),
            "distill": lambda: distilled(world, field_file, device, tmp_path),
            "render": lambda: model.render(
                torch.zeros(5, 3, device=device), torch.ones(5, 3, device=device)
            ),
        }
        with pytest.raises(RuntimeError, match="of the CPU meets one of"):
            work[stage]()
