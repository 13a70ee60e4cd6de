from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ovs3d.errors import PosesError
from ovs3d.field.model import Field
from ovs3d.field.render import render_rays
from ovs3d.params import load_scene_params
from ovs3d.photos.dataset import open_photos
from ovs3d.reconstruct.losses import total_variation
from ovs3d.reconstruct.params import ReconstructParams
from ovs3d.reconstruct.rays import RayPool, load_rays
from ovs3d.reconstruct.train import train_field
from ovs3d.reconstruct.trainer import Trainer, voxels_after
from ovs3d.resume import Checkpoint
from ovs3d.space.fit_space import choose_space
from ovs3d.training import train
from tests.synthetic import SyntheticScene, write_scene

PARAMS_FILE = Path(__file__).parents[2] / "params.yaml"
TRAIN_VIEWS = (0, 1, 3, 4, 5)
CPU = torch.device("cpu")

Result = tuple[Field, list[dict[str, Any]]]


def small_params(**changes: object) -> ReconstructParams:
    """Return the tiny preset cut down to seconds."""
    values = {
        "downscale": 2,
        "iterations": 60,
        "batch": 256,
        "density_ranks": (4, 2, 2),
        "appearance_ranks": (6, 2, 2),
        "appearance_dim": 8,
        "rgb_hidden": 16,
        "voxels_start": 12**3,
        "voxels_end": 20**3,
        "upsample_at": (25,),
        "occupancy_at": (40,),
        "lr_heads": 0.01,
        "photo_colours": True,
    }
    tiny = load_scene_params(PARAMS_FILE, "demo").stages.reconstruct
    return tiny.model_copy(update={**values, **changes})


@pytest.fixture(scope="module")
def images(scene: SyntheticScene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train") / "raw"
    write_scene(scene, folder)
    return folder / "images"


def run(scene: SyntheticScene, images: Path, seed: int = 0, **changes: object) -> Result:
    params = small_params(**changes)
    return train_field(open_photos(images), scene.cameras, TRAIN_VIEWS, params, seed, CPU)


class Logged(Trainer):
    """A training that tells more often how it goes."""

    log_every = 10


class Unmeasured(RayPool):
    """Rays of which nobody may ask for all."""

    def rays(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        pytest.fail("measures all rays")


def logged(
    scene: SyntheticScene, images: Path, kind: type[Trainer] = Logged, **changes: object
) -> Trainer:
    params = small_params(**changes)
    pool = load_rays(open_photos(images), scene.cameras, TRAIN_VIEWS, params.downscale, CPU)
    space = choose_space(scene.cameras.only(TRAIN_VIEWS), params.space)
    return kind(pool, space, params, 0)


def finish(trainer: Trainer, checkpoint: Checkpoint | None = None) -> Result:
    history = train(trainer, lambda *_, **__: None, checkpoint)
    trainer.field.update_occupancy()
    return trainer.field, history


@pytest.fixture(scope="module")
def trained(scene: SyntheticScene, images: Path) -> Result:
    return finish(logged(scene, images))


def test_training_fits_the_photos(trained: Result) -> None:
    _, history = trained
    assert [entry["step"] for entry in history] == [10, 20, 30, 40, 50, 60]
    # Seeds 0 to 2 gain 2.4 to 2.7 dB.
    assert history[-1]["psnr"] > history[0]["psnr"] + 1.5
    assert history[-1]["loss"] < history[0]["loss"]


def test_the_trained_field_renders_a_held_out_view(
    trained: Result, scene: SyntheticScene, images: Path
) -> None:
    field, history = trained
    pool = load_rays(open_photos(images), scene.cameras, (2,), 4, CPU)
    origins, directions, target, _ = pool.batch(torch.arange(len(pool)))
    picture = render_rays(field, origins, directions)
    error = (picture.color - target).square().mean()
    # Nothing learnt: every pixel has the mean colour.
    baseline = (target.mean(dim=0) - target).square().mean()
    assert float(error) < 0.8 * float(baseline)
    assert float(-10 * error.log10()) > history[0]["psnr"]


def test_training_fits_the_photos_in_contracted_space_too(
    scene: SyntheticScene, images: Path
) -> None:
    trainer = logged(scene, images, space="contracted")
    # Curved rays of all photos together take a CPU minutes to measure, for each of its grids.
    trainer.pool = Unmeasured(**vars(trainer.pool))
    field, history = finish(trainer)
    assert field.space.kind == "contracted"
    assert history[-1]["psnr"] > history[0]["psnr"] + 1


def test_photos_may_differ_in_exposure(scene: SyntheticScene, tmp_path: Path) -> None:
    gains = torch.tensor([0.5, 1.0, 1.0, 0.6, 1.3, 1.0])[:, None, None, None]
    photos = (scene.photos * gains).clamp(0, 255).to(torch.uint8)
    write_scene(replace(scene, photos=photos), tmp_path / "raw")
    quality = {
        matched: run(scene, tmp_path / "raw" / "images", photo_colours=matched)[1][-1]["psnr"]
        for matched in (False, True)
    }
    assert quality[True] > quality[False] + 1


def test_the_grid_grows_to_its_final_size(trained: Result) -> None:
    field, _ = trained
    assert field.config.grid == field.space.grid(20**3)
    assert field.occupancy.shape == field.config.grid


def test_equal_seeds_give_equal_bits(scene: SyntheticScene, images: Path) -> None:
    changes: dict[str, Any] = {"iterations": 14, "upsample_at": (5,), "occupancy_at": (9,)}
    first, history = run(scene, images, **changes)
    second, again = run(scene, images, **changes)
    other, _ = run(scene, images, seed=1, **changes)
    assert history == again
    states = first.state_dict(), second.state_dict(), other.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not all(torch.equal(states[0][name], states[2][name]) for name in states[0])
    assert torch.equal(first.occupancy, second.occupancy)


@pytest.mark.parametrize("killed_at", [4, 12, 27, 43])
def test_a_killed_training_ends_like_an_unbroken_one(
    trained: Result, scene: SyntheticScene, images: Path, tmp_path: Path, killed_at: int
) -> None:
    steps: list[int] = []

    class Mortal(Logged):
        def step(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
            steps.append(step)
            if len(steps) == killed_at:
                raise KeyboardInterrupt
            return super().step(step)

    class Always(Checkpoint):
        due = True

    checkpoint = Always(tmp_path / "unfinished.pt", {}, {"scene": "synthetic"})
    with pytest.raises(KeyboardInterrupt):
        finish(logged(scene, images, Mortal), checkpoint)
    field, history = finish(logged(scene, images, Mortal), checkpoint)

    # Steps since the last entry of the history are done again, none before it.
    assert len(steps) == 60 + (killed_at - 1) % 10 + 1
    expected, entries = trained
    assert history == entries
    assert torch.equal(field.occupancy, expected.occupancy)
    for name, value in expected.state_dict().items():
        assert torch.equal(field.state_dict()[name], value), name


def test_views_without_a_pose_are_passed_over(scene: SyntheticScene, images: Path) -> None:
    params = small_params(iterations=2, upsample_at=(1,), occupancy_at=())
    photos = open_photos(images)
    field, _ = train_field(photos, scene.cameras, (1, 77), params, 0, CPU)
    expected, _ = train_field(photos, scene.cameras, (1,), params, 0, CPU)
    assert torch.equal(field.basis.weight, expected.basis.weight)


def test_cameras_of_test_photos_do_not_shape_the_grid(scene: SyntheticScene, images: Path) -> None:
    cameras = scene.cameras
    moved = cameras.world_from_camera.clone()
    moved[2, :2, 3] += 1.5
    other = replace(cameras, world_from_camera=moved)
    params = small_params(iterations=1, upsample_at=(), occupancy_at=())
    photos = open_photos(images)
    fields = [train_field(photos, c, TRAIN_VIEWS, params, 0, CPU)[0] for c in (cameras, other)]
    assert fields[0].space == fields[1].space
    assert fields[0].space != choose_space(other, params.space)


def test_voxels_grow_evenly_in_log_space() -> None:
    params = small_params(voxels_start=1000, voxels_end=64_000, upsample_at=(10, 20, 30))
    grown = [voxels_after(params, step) for step in (1, 9, 10, 19, 20, 29, 30, 99)]
    assert grown == [1000, 1000, 4000, 4000, 16_000, 16_000, 64_000, 64_000]


def test_a_grid_that_does_not_grow_has_its_final_size(scene: SyntheticScene, images: Path) -> None:
    field, _ = run(scene, images, iterations=1, upsample_at=())
    assert field.config.grid == field.space.grid(20**3)


def test_no_training_view_with_a_pose_is_an_error(scene: SyntheticScene, images: Path) -> None:
    with pytest.raises(PosesError, match="no training view has a pose; list fewer val_views or"):
        train_field(open_photos(images), scene.cameras, (77,), small_params(), 0, CPU)


@pytest.mark.parametrize(("iterations", "decay"), [(4, 0.1), (8, 0.1**0.5)])
def test_total_variation_weighs_less_as_learning_rates_fall(
    scene: SyntheticScene, images: Path, iterations: int, decay: float
) -> None:
    changes: dict[str, Any] = {"iterations": iterations, "lr_decay": 0.1, "tv_density": 0.0}
    losses, variation = [], 0.0
    for weight in (0.0, 3.0):
        trainer = logged(scene, images, **changes, tv_appearance=weight)
        for step in (1, 2, 3):
            trainer.step(step)
        variation = total_variation(trainer.field.appearance).item()
        losses.append(trainer.step(4)[0].item())
    # Every fourth iteration has four times the term.
    assert losses[1] - losses[0] == pytest.approx(decay * 4 * 3.0 * variation, rel=1e-4)
