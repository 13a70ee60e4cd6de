"""A scene whose photos fit its stores, to be reconstructed and distilled in a second or two."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from ovs3d.distill.inputs import DistillInputs
from ovs3d.features.store import FeatureStore
from ovs3d.features.token_store import TokenStore
from ovs3d.field.model import Field
from ovs3d.photos.dataset import Photos, open_photos
from ovs3d.reconstruct.train import train_field
from ovs3d.spill import Spill
from tests.features.stores import DIM, TOKENS, VIEWS, make_store
from tests.reconstruct.test_train import small_params
from tests.synthetic import LABELS, SyntheticScene, make_scene, pack_masks, write_scene

HELD_OUT = (2,)
RECONSTRUCT = {"iterations": 6, "upsample_at": (2,), "occupancy_at": (4,)}


@dataclass(frozen=True)
class World:
    """A scene whose photos fit the stores, and the stores."""

    scene: SyntheticScene
    photos: Photos
    clip: FeatureStore
    dino: TokenStore
    masks: dict[int, np.ndarray]

    def inputs(
        self, device: torch.device, folder: Path, memory_budget: float = math.inf
    ) -> DistillInputs:
        """Return what distillation gets; what exceeds the budget goes into the folder."""
        text = normalize(torch.randn(len(LABELS), DIM, generator=torch.Generator().manual_seed(1)))
        return DistillInputs(
            photos=self.photos,
            cameras=self.scene.cameras,
            train_views=VIEWS,
            clip=self.clip,
            dino=self.dino,
            labels=LABELS,
            text=text.to(device),
            spill=Spill(device, memory_budget, folder),
        )


def make_world(folder: Path) -> World:
    """Write the scene and its stores into a folder."""
    scene = make_scene(max(VIEWS) + 1, 96, 72)
    write_scene(scene, folder)
    dino = TokenStore.resume(folder / "dino.zarr", {**TOKENS, "grid": (9, 12), "downscale": 1.0})
    generator = torch.Generator().manual_seed(0)
    for view in VIEWS:
        dino.write(view, torch.randn(9, 12, DIM, generator=generator))
    return World(
        scene,
        open_photos(folder / "images"),
        make_store(folder / "clip.zarr"),
        dino,
        {view: pack_masks(scene.label_maps[view].numpy()) for view in HELD_OUT},
    )


def reconstructed(world: World, device: torch.device, **changes: object) -> tuple[Field, Any]:
    """Reconstruct the scene in a few iterations."""
    params = small_params(**{**RECONSTRUCT, **changes})
    return train_field(world.photos, world.scene.cameras, VIEWS, params, 0, device)
