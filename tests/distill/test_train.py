"""Distillation with perfect labels for features: what is left to err is the field and the loop."""

import math
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import torch
from torch import Tensor

from ovs3d import training
from ovs3d.distill.baked_rays import bake_rays
from ovs3d.distill.calibration import ScoreUnits, neutral_clip_units
from ovs3d.distill.model import (
    Segmentation,
    load_segmentation,
    new_segmentation,
    save_segmentation,
)
from ovs3d.distill.params import DistillParams
from ovs3d.distill.pixel_bank import PixelBank
from ovs3d.distill.targets import Targets
from ovs3d.distill.token_bank import TokenBank
from ovs3d.distill.train import Distiller
from ovs3d.errors import StoreError
from ovs3d.field.model import Field
from ovs3d.resume import Checkpoint
from ovs3d.space.cameras import pixel_centres
from ovs3d.space.fit_space import choose_space
from ovs3d.spill import Spill, take
from tests.distill.params import distill_params
from tests.field.builders import opaque
from tests.synthetic import LABELS, SyntheticScene

VIEWS = (1,)
DOWNSCALE = 3
IN_MEMORY = Spill(torch.device("cpu"), math.inf, Path())


class OracleFeatures:
    """Stands for the window store: a pixel's feature is the text feature of its true label."""

    def __init__(self, features: Tensor, spill: Spill) -> None:
        _, self.height, self.width, _ = features.shape
        (self.features,) = spill.collect([(features.flatten(0, 2),)])  # [V * h * w, D]

    def gather(self, views: Tensor, ys: Tensor, xs: Tensor) -> Tensor:
        """Return [N, 2, D]: the truth at scale 0, at scale 1 what misleads."""
        right = take(self.features, (views * self.height + ys) * self.width + xs)
        return torch.stack((right, right.flip(-1)), dim=1)


@pytest.fixture(scope="module")
def field(scene: SyntheticScene) -> Field:
    """An opaque field: rays stop at the near plane, so one view paints it without conflict."""
    space, appearance = choose_space(scene.cameras, "auto"), (12, 4, 4)
    field = opaque((32, 32, 8), space, appearance_ranks=appearance, appearance_dim=12)
    field.update_occupancy()
    return field


def banks(
    scene: SyntheticScene, field: Field, text: Tensor, spill: Spill
) -> tuple[PixelBank, TokenBank]:
    cameras = scene.cameras
    xy = pixel_centres(cameras.width, cameras.height, DOWNSCALE)
    height, width = cameras.height // DOWNSCALE, cameras.width // DOWNSCALE
    labels = scene.label_maps[:, 1::DOWNSCALE, 1::DOWNSCALE].long()
    one_hot = torch.nn.functional.one_hot(labels, len(LABELS))[list(VIEWS)]
    scores = torch.stack((one_hot, one_hot.flip(-1)), dim=3)
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    photos = scene.photos[list(VIEWS), 1::DOWNSCALE, 1::DOWNSCALE]
    pixels = PixelBank(
        rays=bake_rays(field, cameras, VIEWS, xy, 0.99, "pixels", spill),
        colors=spill.collect([(photos.reshape(-1, 3),)])[0],
        views=torch.tensor(VIEWS),
        ys=rows.flatten(),
        xs=columns.flatten(),
        features=OracleFeatures(text[labels], spill),  # type: ignore[arg-type]
        targets=Targets(
            spill.collect([(scores.flatten(0, 2).half(),)])[0],
            ScoreUnits(),
            disagreement=0.0,
        ),
        units=neutral_clip_units(text),
    )
    (tokens,) = spill.collect([(text[labels[list(VIEWS)]].half(),)])
    return pixels, TokenBank(pixels.rays, tokens)


def train(
    scene: SyntheticScene,
    field: Field,
    params: DistillParams,
    checkpoint: Checkpoint | None = None,
    spill: Spill = IN_MEMORY,
    kind: type[Distiller] = Distiller,
) -> tuple[Segmentation, list[dict[str, float]]]:
    copy = Field(field.config, torch.Generator().manual_seed(0))
    copy.load_state_dict(field.state_dict())
    copy.update_occupancy()
    text = torch.eye(len(LABELS), 8)
    generator = torch.Generator().manual_seed(0)
    model = new_segmentation(copy, LABELS, text, torch.zeros(8), 2, params, generator)
    both = banks(scene, copy, text, spill)
    return model, training.train(
        kind(model, *both, params, generator, spill), MagicMock(), checkpoint
    )


def label_accuracy(scene: SyntheticScene, model: Segmentation, view: int) -> float:
    xy = pixel_centres(scene.cameras.width, scene.cameras.height, DOWNSCALE)
    rendered = model.render(*scene.cameras.rays(view, xy))
    truth = scene.label_maps[view, 1::DOWNSCALE, 1::DOWNSCALE].flatten()
    return (rendered.logits.argmax(1) == truth).float().mean().item()


def test_perfect_features_give_the_right_labels(scene: SyntheticScene, field: Field) -> None:
    model, history = train(scene, field, distill_params())
    assert label_accuracy(scene, model, view=1) > 0.9
    assert history[-1]["total"] < history[0]["total"]
    xy = pixel_centres(scene.cameras.width, scene.cameras.height, 8)
    selection = model.render(*scene.cameras.rays(1, xy)).selection
    torch.testing.assert_close(selection.sum(1), torch.ones(len(xy)))


def test_density_never_moves_and_appearance_waits_for_the_joint_phase(
    scene: SyntheticScene, field: Field
) -> None:
    first, _ = train(scene, field, distill_params(iterations=4, joint_after=4))
    joint, _ = train(scene, field, distill_params(iterations=4, joint_after=2))
    for model in (first, joint):
        for before, after in zip(
            field.density.parameters(), model.field.density.parameters(), strict=True
        ):
            assert torch.equal(before, after)
    same = [
        torch.equal(before, after)
        for before, after in zip(
            field.appearance.parameters(), first.field.appearance.parameters(), strict=True
        )
    ]
    assert all(same)
    assert not torch.equal(field.appearance.planes[0], joint.field.appearance.planes[0])


def test_two_runs_are_equal_bit_by_bit(scene: SyntheticScene, field: Field) -> None:
    params = distill_params(iterations=12, joint_after=6)
    first, second = (train(scene, field, params)[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_what_lies_on_disk_gives_the_same_bits(
    scene: SyntheticScene, field: Field, tmp_path: Path
) -> None:
    params = distill_params(iterations=8, joint_after=4)
    expected, entries = train(scene, field, params)
    spill = Spill(torch.device("cpu"), 0.0, tmp_path)
    model, history = train(scene, field, params, spill=spill)
    assert history == entries
    for name, value in expected.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


class Talkative(Distiller):
    log_every = 3


class AlwaysDue(Checkpoint):
    @property
    def due(self) -> bool:
        return True


@pytest.mark.parametrize("killed_at", [2, 5, 10])
def test_a_killed_distillation_ends_like_an_unbroken_one(
    scene: SyntheticScene, field: Field, tmp_path: Path, killed_at: int
) -> None:
    begun: list[int] = []

    class Mortal(Talkative):
        def iterate(self, step: int) -> Tensor:
            begun.append(step)
            if len(begun) == killed_at:
                raise KeyboardInterrupt
            return super().iterate(step)

    params = distill_params(iterations=12, joint_after=6)
    expected, entries = train(scene, field, params, kind=Talkative)
    checkpoint = AlwaysDue(tmp_path / "unfinished.pt", {}, {"scene": "synthetic"})
    with pytest.raises(KeyboardInterrupt):
        train(scene, field, params, checkpoint, kind=Mortal)
    model, history = train(scene, field, params, checkpoint, kind=Mortal)

    saved = (killed_at - 1) // 3 * 3
    assert begun == [*range(1, killed_at + 1), *range(saved + 1, 13)]
    assert history == entries
    for name, value in expected.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


@pytest.mark.parametrize(
    ("section", "change", "term"),
    [
        ("losses", {"color": 0.0}, "color"),
        ("losses", {"feature": 0.0}, "feature"),
        ("losses", {"rda": 0.0}, "rda"),
        ("fda", {"positive": 0.0, "negative": 0.0}, "fda"),
    ],
    ids=["color", "feature", "rda", "fda"],
)
def test_a_weight_of_zero_leaves_the_term_out(
    section: str, change: dict[str, float], term: str, scene: SyntheticScene, field: Field
) -> None:
    params = distill_params(iterations=4, joint_after=1)
    _, full = train(scene, field, params)
    changed = getattr(params, section).model_copy(update=change)
    _, without = train(scene, field, params.model_copy(update={section: changed}))
    assert full[-1][term] != 0
    assert without[-1][term] == 0


@pytest.mark.parametrize(
    ("selection", "expected"), [("mean", [0.5, 0.5]), (0, [1.0, 0.0]), (1, [0.0, 1.0])]
)
def test_fixed_selection_uses_its_scales(
    selection: str | int, expected: list[float], scene: SyntheticScene, field: Field
) -> None:
    params = distill_params(iterations=1, selection=selection)
    model, _ = train(scene, field, params)
    assert model.selection is None
    xy = torch.tensor([[10.0, 10.0]])
    rendered = model.render(*scene.cameras.rays(0, xy))
    torch.testing.assert_close(rendered.selection, torch.tensor([expected]))


def test_segmentation_survives_the_disk(
    scene: SyntheticScene, field: Field, tmp_path: Path
) -> None:
    model, _ = train(scene, field, distill_params(iterations=2))
    path = tmp_path / "segmentation.safetensors"
    save_segmentation(path, model)
    loaded = load_segmentation(path, torch.device("cpu"))
    xy = pixel_centres(scene.cameras.width, scene.cameras.height, 8)
    rays = scene.cameras.rays(2, xy)
    assert loaded.labels == LABELS
    assert torch.equal(model.render(*rays).logits, loaded.render(*rays).logits)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StoreError, match=r"segmentation\.safetensors"):
        load_segmentation(path, torch.device("cpu"))
