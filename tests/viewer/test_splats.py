"""Baking two balls."""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from ovs3d.viewer import splats as module
from ovs3d.viewer.splats import Splats, bake, keep, kept, preview
from ovs3d.viewer.surface import Source
from tests.damage import flip_bit
from tests.viewer.builders import CENTRES, RADIUS, cameras

MADE_FROM = ["a", "b"]


@pytest.fixture(scope="module")
def baked(source: Source) -> Splats:
    return bake(source, cameras(), 40_000, nullcontext())


def test_splats_lie_on_the_balls_and_know_their_labels(baked: Splats) -> None:
    centres = np.array(CENTRES)[baked.labels]
    distances = np.linalg.norm(baked.positions - centres, axis=1)
    assert len(baked) > 1000
    assert np.abs(distances - RADIUS).max() < 0.1
    assert np.median(np.abs(distances - RADIUS)) < 0.03
    assert set(baked.labels) == {0, 1}


def test_splats_cover_the_gaps_between_them(baked: Splats) -> None:
    # From a splat to its nearest neighbour it is less than both of their squares reach.
    some = baked.positions[:: len(baked) // 50]
    gaps = np.linalg.norm(some[:, None] - baked.positions[None], axis=-1)
    nearest = np.sort(gaps, axis=1)[:, 1]
    assert (nearest < 4 * baked.radii[:: len(baked) // 50]).mean() > 0.95


def test_a_limit_makes_fewer_and_larger_splats(baked: Splats, source: Source) -> None:
    few = bake(source, cameras(), 40_000, nullcontext(), most=300)
    assert 150 < len(few) <= 300
    assert few.radii.mean() > 1.5 * baked.radii.mean()


def test_a_preview_sees_some_of_it(source: Source) -> None:
    first = preview(source, cameras())
    assert set(first.labels) == {0, 1}


def test_progress_is_told_after_each_view(source: Source) -> None:
    calls: list[None] = []
    bake(source, cameras(), 600, nullcontext(), lambda: calls.append(None))
    assert len(calls) == len(cameras())


def test_an_empty_field_has_no_splats(source: Source) -> None:
    away = cameras().only([0])
    # Looks back, upside down.
    away.world_from_camera[0, :, 1:3] *= -1
    assert len(bake(source, away, 600, nullcontext())) == 0


def test_what_is_kept_comes_back(baked: Splats, tmp_path: Path) -> None:
    path = tmp_path / "splats.safetensors"
    assert kept(path, MADE_FROM) is None
    keep(path, MADE_FROM, baked)
    found = kept(path, MADE_FROM)
    assert found is not None
    for name in ("positions", "radii", "colors", "logits"):
        assert np.array_equal(getattr(found, name), getattr(baked, name))


@pytest.mark.parametrize("change", ["source", "settings", "damage"])
def test_what_no_longer_fits_is_not_taken(
    change: str, baked: Splats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "splats.safetensors"
    keep(path, MADE_FROM, baked)
    if change == "settings":
        monkeypatch.setattr(module, "_RAYS", 7)
    if change == "damage":
        flip_bit(path, 0)
    assert kept(path, ["a", "c"] if change == "source" else MADE_FROM) is None
