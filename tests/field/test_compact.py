import pytest
import torch
from torch import Tensor

from ovs3d.field.compact import Room, keep, ray_of_sample, real_only
from ovs3d.field.samples import composite, sample_weights
from tests.devices import elsewhere

RAYS, SAMPLES = 40, 600
CPU = torch.device("cpu")


def drawn(share: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return a mask, offsets with rays of no sample among them, optical depths and values."""
    generator = torch.Generator().manual_seed(0)
    inner = torch.randint(SAMPLES, (RAYS - 5,), generator=generator).sort().values
    offsets = torch.cat([torch.zeros(3, dtype=torch.int64), inner, torch.full((3,), SAMPLES)])
    mask = torch.rand(SAMPLES, generator=generator) < share
    return mask, offsets, *torch.rand(2, SAMPLES, generator=generator)


def sums(device: torch.device, share: float, room: Room | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return sums over rays of the samples that a mask keeps, and their gradients."""
    mask, offsets, *leaves = (each.to(device) for each in drawn(share))
    depth, values = (leaf.requires_grad_() for leaf in leaves)
    kept = keep(mask, offsets, room)
    weights = sample_weights(real_only(kept.of(depth), kept.real), kept.offsets)
    # Weights are not used as they are: a sum of them has gradients of its own.
    rays = composite((kept.of(values) + weights)[:, None], weights, kept.offsets)
    rays.square().sum().backward()
    assert depth.grad is not None
    assert values.grad is not None
    return rays.detach().cpu(), depth.grad.cpu(), values.grad.cpu()


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("left_over", [0, 1, 33, 500])
def test_rows_that_are_left_over_change_nothing(share: float, left_over: int) -> None:
    rows = int(drawn(share)[0].sum()) + left_over
    expected = sums(CPU, share, None)
    with elsewhere() as device:
        room = Room(rows)
        found = sums(device, share, room)
        assert room.refit() == 0
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def test_rows_that_are_left_over_are_spread_evenly_behind_the_samples_of_rays() -> None:
    mask, offsets, *_ = drawn(0.3)
    expected = keep(mask, offsets)
    with elsewhere() as device:
        kept = keep(mask.to(device), offsets.to(device), Room(len(expected.index) + 100))
        assert kept.real is not None
        index, ends, real = kept.index.cpu(), kept.offsets.cpu(), kept.real.cpu()
    assert torch.equal(index[real], expected.index)
    more = ends.diff() - expected.offsets.diff()
    assert (int(more.min()), int(more.max()), int(more.sum())) == (2, 3, 100)
    within = torch.arange(len(index)) - ends[ray_of_sample(ends, len(index))]
    assert torch.equal(real, within < expected.offsets.diff()[ray_of_sample(ends, len(index))])


def test_samples_that_find_no_room_are_noticed_and_find_it_next_time() -> None:
    mask, offsets, *_ = drawn(0.3)
    expected = keep(mask, offsets)
    count = len(expected.index)
    with elsewhere() as device:
        room = Room(count - 5)
        for few in (mask & (torch.arange(SAMPLES) < 50), mask, torch.zeros_like(mask)):
            kept = keep(few.to(device), offsets.to(device), room)
            assert len(kept.index) == count - 5
            if few is mask:
                assert torch.equal(kept.index.cpu(), expected.index[:-5])
                assert torch.equal(kept.offsets.cpu(), expected.offsets.clamp_max(count - 5))
        assert room.refit() == 5
        kept = keep(mask.to(device), offsets.to(device), room)
        assert kept.real is not None
        assert kept.real.sum() == count
        assert room.refit() == 0
