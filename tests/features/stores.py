"""Small stores with made-up embeddings and tokens."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ovs3d.features.store import FeatureStore
from ovs3d.features.token_store import TokenStore
from ovs3d.features.windows import lattice, windows

VIEWS = (1, 4, 6)
SIZE = (48, 36)
DIM = 8
ATTRIBUTES: dict[str, Any] = {
    "encoder_digest": "abc",
    "dim": DIM,
    "size": SIZE,
    "downscale": 2,
    "window_divisors": (2.0, 3.0),
    "strides_per_window": 2.0,
    "windows_per_scale": [lattice(*SIZE, divisor, 2).count for divisor in (2, 3)],
    "views": VIEWS,
    "photos": {"a.jpg": "12", "b.jpg": "34", "c.jpg": "56"},
}
TOKENS: dict[str, Any] = {
    "encoder_digest": "abc",
    "dim": DIM,
    "grid": (20, 33),
    "patch": 8,
    "downscale": 1.5,
    "views": VIEWS,
}


def make_boxes(views: tuple[int, ...] = VIEWS) -> NDArray[np.int16]:
    return np.stack(
        [
            np.concatenate([windows(*SIZE, divisor, 2, [view, divisor]) for divisor in (2, 3)])
            for view in views
        ]
    )


def make_embeddings(view: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(view)
    vectors = torch.randn(make_boxes().shape[1], DIM, generator=generator)
    return torch.nn.functional.normalize(vectors, dim=-1)


def make_store(path: Path, views: tuple[int, ...] = VIEWS, **changes: Any) -> FeatureStore:
    store = FeatureStore.resume(path, {**ATTRIBUTES, **changes}, make_boxes())
    for view in views:
        store.write(view, make_embeddings(view))
    return store


def make_tokens() -> torch.Tensor:
    return torch.randn(len(VIEWS), 20, 33, DIM, generator=torch.Generator().manual_seed(0))


def make_token_store(path: Path) -> TokenStore:
    store = TokenStore.resume(path, TOKENS)
    for view, values in zip(VIEWS, make_tokens(), strict=True):
        store.write(view, values)
    return store
