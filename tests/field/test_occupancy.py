import itertools

import pytest
import torch
from torch import Tensor

from ovs3d.field import model
from ovs3d.field.occupancy import occupied_voxels
from tests.field.builders import lump

SHAPE = (5, 4, 6)


def sparse_opacity() -> Tensor:
    """One node in the middle, one on the last corner, one that only reaches the threshold."""
    opacity = torch.zeros(SHAPE)
    opacity[1, 2, 1] = 0.9
    opacity[4, 3, 5] = 0.2
    opacity[3, 0, 3] = 0.125
    return opacity


def naive(opacity: Tensor, threshold: float, grow: int) -> Tensor:
    x, y, z = (nodes - 1 for nodes in opacity.shape)
    voxels = list(itertools.product(range(x), range(y), range(z)))
    full = [
        (i, j, k)
        for i, j, k in voxels
        if float(opacity[i : i + 2, j : j + 2, k : k + 2].max()) > threshold
    ]
    mask = torch.zeros(x, y, z, dtype=torch.uint8)
    for voxel in voxels:
        near = (max(abs(a - b) for a, b in zip(voxel, other, strict=True)) for other in full)
        mask[voxel] = min(near, default=99) <= grow
    return mask


@pytest.mark.parametrize(("grow", "count"), [(0, 9), (1, 35)])
def test_voxels_that_touch_matter_are_occupied(grow: int, count: int) -> None:
    mask = occupied_voxels(sparse_opacity(), 0.125, grow)
    assert mask.dtype == torch.uint8
    assert mask.shape == SHAPE
    expected = naive(sparse_opacity(), 0.125, grow)
    # 8 voxels around the inner node, 1 at the corner; grown 3 x 3 x 3 and 2 x 2 x 2 (cut).
    assert torch.equal(mask[:-1, :-1, :-1], expected)
    assert int(expected.sum()) == count


def test_last_entries_repeat_the_last_voxel() -> None:
    mask = occupied_voxels(sparse_opacity(), 0.125, 0)
    assert torch.equal(mask[-1], mask[-2])
    assert torch.equal(mask[:, -1], mask[:, -2])
    assert torch.equal(mask[:, :, -1], mask[:, :, -2])
    assert mask[-1, -1, -1] == 1


def test_the_threshold_itself_is_empty() -> None:
    assert not occupied_voxels(torch.full(SHAPE, 0.5), 0.5, 0).any()
    assert occupied_voxels(torch.full(SHAPE, 0.5), 0.499, 0).all()


@torch.no_grad()
def test_no_opaque_point_lies_in_an_empty_voxel() -> None:
    field = lump(opacity_threshold=0.01)
    field.update_occupancy()
    points = torch.rand(5000, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    opacity = 1 - torch.exp(-field.optical_depth(points))
    x, y, z = ((points + 1) / 2 * (torch.tensor(field.config.grid) - 1)).long().T
    occupied = field.occupancy[x, y, z].bool()
    assert (opacity > 0.01).sum() > 50
    assert occupied[opacity > 0.01].all()
    assert not occupied.all()


@pytest.mark.parametrize("grow", [0, 1])
def test_slabs_do_not_show(grow: int, monkeypatch: pytest.MonkeyPatch) -> None:
    field = lump()
    field.update_occupancy(grow)
    whole = field.occupancy
    assert 0 < whole.sum() < whole.numel()
    monkeypatch.setattr(model, "_MAX_TABLE_NODES", 8 * 5 * 7)  # slabs of one node
    field.update_occupancy(grow)
    assert torch.equal(field.occupancy, whole)
