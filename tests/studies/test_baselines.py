"""Baselines on features that know the truth: what they label is nearly right.

The field is opaque, so that rays stop at the near plane and one view paints it without conflict.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from ovs3d.distill.inputs import DistillInputs
from ovs3d.features.store import FeatureStore
from ovs3d.features.token_store import TokenStore
from ovs3d.features.windows import lattice, windows
from ovs3d.field.checkpoint import save_field
from ovs3d.params import load_scene_params
from ovs3d.photos.dataset import NO_LABEL, open_photos
from ovs3d.space.fit_space import choose_space
from ovs3d.spill import Spill
from studies.baselines import clip_2d, ffd, lerf, lifting, semantic, volume
from studies.baselines.training import best_labels
from studies.case import Case
from studies.oracle import true_windows
from studies.scenes import Scene
from studies.scoring import score
from tests.closure import ROOT
from tests.distill.params import distill_params
from tests.field.builders import opaque
from tests.synthetic import LABELS, SyntheticScene

VIEW, DIM, DIVISORS, PATCH = 1, 16, (8.0, 10.0, 12.0), 3
CPU = torch.device("cpu")


def make_stores(scene: SyntheticScene, folder: Path) -> tuple[FeatureStore, TokenStore]:
    """Return windows without meaning and tokens that tell the labels apart."""
    width, height = scene.cameras.width, scene.cameras.height
    common = {"encoder_digest": "abc", "dim": DIM, "views": (VIEW,)}
    boxes = np.concatenate([windows(width, height, d, 2, [0]) for d in DIVISORS])[None]
    counts = [lattice(width, height, d, 2).count for d in DIVISORS]
    size = {"size": (width, height), "downscale": 1, "windows_per_scale": counts}
    shape = {"window_divisors": DIVISORS, "strides_per_window": 2}
    clip = FeatureStore.resume(folder / "clip.zarr", {**common, **size, **shape}, boxes)
    clip.write(VIEW, torch.ones(boxes.shape[1], DIM) / DIM**0.5)
    labels = scene.label_maps[VIEW, PATCH // 2 :: PATCH, PATCH // 2 :: PATCH].long()
    place = {"grid": tuple(labels.shape), "patch": PATCH, "downscale": 1}
    dino = TokenStore.resume(folder / "dino.zarr", {**common, **place})
    dino.write(VIEW, torch.eye(len(LABELS), DIM)[labels])
    return clip, dino


@pytest.fixture(scope="module")
def text() -> Tensor:
    drawn = torch.randn(len(LABELS), DIM, generator=torch.Generator().manual_seed(0))
    return normalize(drawn, dim=1)


@pytest.fixture
def case(
    scene: SyntheticScene, scene_folder: Path, text: Tensor, monkeypatch: pytest.MonkeyPatch
) -> Case:
    """One view to train on and to label, so that nothing is left to err but the baseline."""
    monkeypatch.chdir(ROOT)
    folder = scene_folder / "truth" / "labels"
    folder.mkdir(parents=True)
    for view, label_map in enumerate(scene.label_maps.numpy()):
        Image.fromarray(label_map + 1).save(folder / f"{view:03d}.png")
    space = choose_space(scene.cameras, "auto")
    field = opaque((96, 96, 8), space, appearance_ranks=(16, 2, 2), appearance_dim=8)
    save_field(scene_folder / "field.safetensors", field)
    clip, dino = make_stores(scene, scene_folder)
    own = distill_params(downscale=2, iterations=150, batch=512, lr_volumes=0.05, lr_heads=0.02)
    params = load_scene_params(Path("params.yaml"), "demo")
    stages = params.stages.model_copy(
        update={
            "distill": own,
            "lift": params.stages.lift.model_copy(update={"downscale": 1}),
            "evaluate": params.stages.evaluate.model_copy(update={"downscale": 3}),
        }
    )
    inputs = DistillInputs(
        photos=open_photos(scene_folder / "images"),
        cameras=scene.cameras,
        train_views=(VIEW,),
        clip=clip,
        dino=dino,
        labels=LABELS,
        text=text,
        spill=Spill(CPU, math.inf, scene_folder),
    )
    arguments = argparse.Namespace(reconstruct=scene_folder, out=scene_folder / "out")
    found = Case(
        Scene("boxes", scene_folder, (), (VIEW,)),
        params.model_copy(update={"stages": stages, "device": "cpu"}),
        arguments,
        inputs,
        (VIEW,),
    )
    knowing = true_windows(found)
    return Case(found.scene, found.params, arguments, knowing, found.views)


def test_windows_of_the_truth_label_the_photo(case: Case) -> None:
    assert score(case, clip_2d.label_maps(case))["accuracy"] > 0.9
    assert score(case, clip_2d.label_maps(case, scale=2))["accuracy"] > 0.93
    assert score(case, clip_2d.label_maps(case, normalise=True))["accuracy"] > 0.8


def test_language_volume(case: Case) -> None:
    """Of one view, many voxels are met by one ray, too few to be a surface."""
    found = volume.label_maps(case)[VIEW]
    truth = Image.open(case.scene.folder / "truth" / "labels" / f"{VIEW:03d}.png")
    right = found == np.asarray(truth)[1::3, 1::3] - 1
    labelled = found != NO_LABEL
    assert right[labelled].mean() > 0.93
    assert labelled.mean() > 0.6


def test_lifting(case: Case) -> None:
    assert score(case, lifting.label_maps(case))["accuracy"] > 0.88


def test_semantic_nerf(case: Case) -> None:
    assert score(case, semantic.label_maps(case))["accuracy"] > 0.95


def test_ffd(case: Case) -> None:
    assert score(case, ffd.label_maps(case))["accuracy"] > 0.88


def test_lerf(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Case, "encode", lambda _, words: -torch.eye(len(words), DIM))
    assert score(case, lerf.label_maps(case))["accuracy"] > 0.85


def test_what_rays_do_not_meet_is_unlabelled(case: Case) -> None:
    photos, downscale = case.inputs.photos, case.downscale
    shape = (photos.height // downscale, photos.width // downscale)
    opacity = torch.ones(shape)
    opacity[0] = 0.4
    scores = torch.zeros(opacity.numel(), len(LABELS))
    scores[:, 2] = 1
    found = best_labels(case, scores, opacity.flatten())
    assert (found[0] == NO_LABEL).all()
    assert (found[1:] == 2).all()


def test_lerf_compares_with_the_word_that_fits_best() -> None:
    features = torch.tensor([[[0.6, 0.8], [1.0, 0.0]]])
    text, negatives = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    pairs = torch.tensor([[0.6, 0.8], [0.6, -0.6], [1.0, 0.0], [1.0, -1.0]]) * 10
    shares = pairs.softmax(dim=1)[:, 0]
    expected = torch.stack((shares[:2].min(), shares[2:].min()))
    torch.testing.assert_close(lerf.relevancy(features, text, negatives).flatten(), expected)


def test_lerf_takes_the_scale_of_each_label_s_maximum() -> None:
    scores = torch.tensor([[[0.1, 0.9], [0.2, 0.3]], [[0.3, 0.1], [0.8, 0.2]]])
    expected = torch.tensor([[0.2, 0.9], [0.8, 0.1]])
    assert torch.equal(lerf.choose_scales(scores), expected)
