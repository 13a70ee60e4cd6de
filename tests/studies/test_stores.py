"""Copies of stores: other vectors, everything else as it was."""

from pathlib import Path

import numpy as np
import torch

from ovs3d.features.store import FeatureStore
from ovs3d.features.token_store import TokenStore
from studies.stores import boxes_of, rewrite_tokens, rewrite_windows
from tests.features.stores import VIEWS, make_boxes, make_embeddings, make_store, make_token_store


def test_windows_change_and_boxes_stay(tmp_path: Path) -> None:
    store = make_store(tmp_path / "clip.zarr")
    copy = rewrite_windows(store, tmp_path / "copy.zarr", "negated", lambda _, vectors: -vectors)
    copy = FeatureStore.open(copy.path)
    assert (boxes_of(copy) == make_boxes()).all()
    assert copy.fingerprint != store.fingerprint
    for view in VIEWS:
        assert (copy.embeddings(view) == -make_embeddings(view).half().numpy()).all()
    ys = xs = torch.arange(5)
    torch.testing.assert_close(copy.pixels(VIEWS[0], ys, xs), -store.pixels(VIEWS[0], ys, xs))


def test_tokens_change_with_their_view(tmp_path: Path) -> None:
    store = make_token_store(tmp_path / "dino.zarr")
    copy = rewrite_tokens(store, tmp_path / "copy.zarr", 0, lambda view, tokens: tokens * view)
    cpu = torch.device("cpu")
    expected = store.load(VIEWS, cpu).float() * torch.tensor(VIEWS)[:, None, None, None]
    torch.testing.assert_close(
        TokenStore.open(copy.path).load(VIEWS, cpu).float(), expected, rtol=1e-3, atol=1e-3
    )
    assert copy.grid == store.grid


def test_a_copy_that_was_begun_is_finished_and_another_started_over(tmp_path: Path) -> None:
    store = make_store(tmp_path / "clip.zarr")
    asked: list[int] = []

    def change(view: int, vectors: torch.Tensor) -> torch.Tensor:
        asked.append(view)
        return vectors

    rewrite_windows(store, tmp_path / "copy.zarr", "a", change)
    rewrite_windows(store, tmp_path / "copy.zarr", "a", change)
    assert asked == list(VIEWS)
    copy = rewrite_windows(store, tmp_path / "copy.zarr", "b", change)
    assert asked == [*VIEWS, *VIEWS]
    assert np.isfinite(copy.embeddings(VIEWS[0])).all()
