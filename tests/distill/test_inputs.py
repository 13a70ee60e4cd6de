"""Stores that do not belong to the photos or to the model of the texts."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from ovs3d.distill.inputs import DistillInputs
from ovs3d.distill.pixel_bank import make_pixel_bank
from ovs3d.distill.token_bank import make_token_bank
from ovs3d.distill.train import make_distiller
from ovs3d.errors import SceneError, StoreError
from ovs3d.features.store import FeatureStore
from ovs3d.params import load_scene_params
from ovs3d.photos.dataset import Photos
from ovs3d.space.cameras import save_cameras
from ovs3d.space.fit_space import choose_space
from ovs3d.spill import Spill
from stages import distill
from tests.closure import ROOT
from tests.distill.params import distill_params
from tests.features.stores import (
    ATTRIBUTES,
    VIEWS,
    make_boxes,
    make_embeddings,
    make_store,
    make_token_store,
)
from tests.field.builders import opaque
from tests.synthetic import SyntheticScene, write_scene
from tests.world import make_world

CPU = torch.device("cpu")


@pytest.fixture
def inputs(tmp_path: Path, scene: SyntheticScene) -> DistillInputs:
    """Photos that are larger than those of either store."""
    spill = Spill(CPU, 1.0, tmp_path)
    return DistillInputs(
        photos=Photos((), width=408, height=240),
        cameras=scene.cameras,
        train_views=VIEWS,
        clip=make_store(tmp_path / "clip.zarr"),
        dino=make_token_store(tmp_path / "dino.zarr"),
        labels=("a",),
        text=torch.ones(1, 8),
        spill=spill,
    )


def test_views_without_windows_still_teach_where_things_end(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    attributes = {**ATTRIBUTES, "views": VIEWS[:1]}
    windows = FeatureStore.resume(tmp_path / "few.zarr", attributes, make_boxes(VIEWS[:1]))
    windows.write(VIEWS[0], make_embeddings(VIEWS[0]))
    cameras = world.scene.cameras.only((1, 2, 4))
    inputs = replace(world.inputs(CPU, tmp_path), clip=windows, cameras=cameras)
    field = opaque((8, 8, 8), choose_space(cameras, "auto"))
    distiller, _ = make_distiller(field, inputs, distill_params(), 0)
    assert distiller.pixels.views.tolist() == [1]
    assert len(distiller.pixels) == 32 * 24
    # View 6 has no pose.
    tokens = normalize(world.dino.load((1, 4), CPU).float(), dim=-1).half()
    assert torch.equal(distiller.tokens.tokens, tokens)


def test_scenes_without_a_view_to_learn_from_are_refused(inputs: DistillInputs) -> None:
    other = replace(inputs, train_views=(0, 2))
    with pytest.raises(
        SceneError, match=r"a pose and CLIP features; raise clip_features\.views or"
    ):
        other.pixel_views()
    with pytest.raises(SceneError, match="a pose and DINO tokens; list fewer val_views or"):
        other.token_views()


def test_windows_of_other_photos_are_refused(inputs: DistillInputs) -> None:
    expected = r"clip\.zarr: holds working images of 48 x 36, but .* 204 x 120; run stage clip_f"
    with pytest.raises(StoreError, match=expected):
        make_pixel_bank(None, inputs, VIEWS, distill_params(downscale=1))  # type: ignore[arg-type]


def test_tokens_of_other_photos_are_refused(inputs: DistillInputs) -> None:
    expected = (
        r"dino\.zarr: holds 33 x 20 tokens of a view, but .* 34 x 20; run stage dino_features"
    )
    with pytest.raises(StoreError, match=expected):
        make_token_bank(None, inputs, VIEWS, 0.99)  # type: ignore[arg-type]


def test_windows_of_another_model_than_the_texts_are_refused(
    tmp_path: Path, scene: SyntheticScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    params = load_scene_params(Path("params.yaml"), "demo").model_copy(update={"test_views": ()})
    write_scene(scene, tmp_path)
    make_store(tmp_path / "clip.zarr")
    save_cameras(scene.cameras, tmp_path / "cameras.json")
    arguments = Namespace(
        images=tmp_path / "images",
        classes=tmp_path / "segmentations/classes.txt",
        **dict.fromkeys(
            ("poses", "clip_features", "dino_features", "reconstruct", "out"), tmp_path
        ),
    )
    with pytest.raises(StoreError, match=r"clip\.zarr: made by another CLIP model; run stage"):
        distill.main(arguments, params)
