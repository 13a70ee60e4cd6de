"""What the host waits for while a GPU works: nothing, or what is counted here."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ovs3d.distill.params import DistillParams
from ovs3d.distill.train import make_distiller
from ovs3d.field import compact
from ovs3d.field.checkpoint import load_field, save_field
from ovs3d.field.render import render_rays
from ovs3d.reconstruct.rays import load_rays
from ovs3d.reconstruct.trainer import Trainer
from ovs3d.space.cameras import pixel_centres
from ovs3d.space.fit_space import choose_space
from tests.devices import elsewhere, watched_waits
from tests.distill.params import distill_params, relevancy_params
from tests.features.stores import VIEWS
from tests.reconstruct.test_train import small_params
from tests.world import RECONSTRUCT, World, make_world, reconstructed

AS_PHOTOS = distill_params(
    units="scene",
    window_sigma=0.3,
    relevancy=relevancy_params(
        normalise="scene", consensus=0.3, scale_sharpness=4.0, guide_radius=0.3
    ),
)
"""Whatever the released method does not have."""
HERE = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "work",
    [
        lambda away: away.sum().item(),
        lambda away: away.tolist(),
        lambda away: away.cpu(),
        lambda away: away[away[:, 0] > 0.5],
        lambda away: away.nonzero(),
        lambda away: away.masked_select(away > 0.5),
        lambda away: away.long().unique(),
        lambda away: torch.repeat_interleave(away.long().view(-1)),
        lambda away: HERE.to(away.device),
        lambda away: away.new_tensor([1.0, 2.0]),
        lambda away: torch.zeros(4, 3).copy_(away),
        lambda away: bool((away > 2).any()),
    ],
)
def test_a_wait_is_found(work: Callable[[Tensor], object]) -> None:
    with elsewhere() as device:
        away = HERE.to(device)
        with watched_waits() as waits:
            work(away)
    assert waits.total() == 1


def test_what_needs_no_wait_is_not_counted() -> None:
    with elsewhere() as device:
        away = HERE.to(device)
        with watched_waits() as waits:
            HERE.to(device, non_blocking=True)
            away[torch.zeros(2, dtype=torch.int64, device=device)]
            away[1:3] = 1
            away * torch.tensor(2.0)
            torch.nonzero_static(away > 0.5, size=5)
            torch.repeat_interleave(torch.arange(3, device=device), 2, output_size=6)
    assert not waits


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def field_file(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("field") / "field.safetensors"
    save_field(path, reconstructed(world, torch.device("cpu"))[0])
    return path


def make_trainer(world: World, device: torch.device, **changes: object) -> Trainer:
    """Return a training whose grid does not grow."""
    params = small_params(**{**RECONSTRUCT, "upsample_at": (), **changes})
    pool = load_rays(world.photos, world.scene.cameras, VIEWS, params.downscale, device)
    return Trainer(pool, choose_space(world.scene.cameras, params.space), params, 0)


@pytest.mark.parametrize("shading", ["ray", "sample"])
def test_an_iteration_of_reconstruct_waits_for_nothing(world: World, shading: str) -> None:
    with elsewhere() as device:
        trainer = make_trainer(world, device, shading=shading)
        trainer.step(1)
        with watched_waits() as waits:
            for step in range(2, 6):
                trainer.step(step)
    assert not waits


def test_iterations_of_reconstruct_have_the_same_shapes(world: World) -> None:
    """As a graph of CUDA wants them; only every fourth one does more."""
    with elsewhere() as device:
        trainer = make_trainer(world, device)
        trainer.step(5)
        shapes = []
        for step in (6, 7):
            with _Shapes() as seen:
                trainer.step(step)
            shapes.append(seen.found)
    assert len(shapes[0]) > 300
    assert shapes[0] == shapes[1]


def test_samples_that_find_no_room_are_told(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with elsewhere() as device:
        trainer = make_trainer(world, device)
        trainer.step(1)
        trainer.entry((1.0, 1.0))
        assert not capsys.readouterr().err
        monkeypatch.setattr(compact, "_MARGIN", 0.5)
        for step in (2, 3):
            trainer.step(step)
            trainer.entry((1.0, 1.0))
    assert "samples of an iteration found no room on the device" in capsys.readouterr().err


class _Shapes(TorchDispatchMode):
    """Notes all operations and the shapes of what they work on."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[tuple[Any, list[torch.Size]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        leaves = tree_leaves((args, kwargs))
        self.found.append((func, [leaf.shape for leaf in leaves if isinstance(leaf, Tensor)]))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("phase", ["first", "joint"])
@pytest.mark.parametrize("memory_budget", [math.inf, 0.0], ids=["on the device", "on disk"])
@pytest.mark.parametrize("params", [distill_params(), AS_PHOTOS], ids=["paper", "photos"])
def test_an_iteration_of_distill_waits_for_nothing(
    world: World,
    field_file: Path,
    tmp_path: Path,
    phase: str,
    params: DistillParams,
    memory_budget: float,
) -> None:
    with elsewhere() as device:
        field = load_field(field_file, device)
        inputs = world.inputs(device, tmp_path, memory_budget)
        trainer, _ = make_distiller(field, inputs, params, 0)
        if phase == "joint":
            trainer.start_joint_phase()
        trainer.step()
        with watched_waits() as waits:
            trainer.step()
    # Windows that do not fit on the device are looked up there and averaged on the host.
    lookups = {where for where in waits if where.startswith("features/window_features.py")}
    assert waits.keys() == (lookups if memory_budget == 0 else set())


def test_waits_of_a_rendered_chunk(world: World, field_file: Path) -> None:
    with elsewhere() as device:
        field = load_field(field_file, device)
        xy = pixel_centres(world.photos.width, world.photos.height, 4)
        origins, directions = (side.to(device) for side in world.scene.cameras.rays(2, xy))
        with watched_waits() as waits:
            render_rays(field, origins, directions)
    # The longest path, samples in occupied space, and those that matter.
    assert waits.total() == 3, waits
