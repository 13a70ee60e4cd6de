import pytest
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from ovs3d.field.interpolation import Reads, interpolate, trilinear
from ovs3d.field.vm import AXES, VmVolume, find_corners

GRID = (4, 3, 5)
RANKS = (3, 1, 2)


def make_volume(grid: tuple[int, int, int] = GRID) -> VmVolume:
    return VmVolume(RANKS, grid, torch.Generator().manual_seed(0)).double()


def random_points(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 3, generator=generator, dtype=torch.float64) * 2 - 1


def node_points(grid: tuple[int, int, int]) -> Tensor:
    axes = [torch.linspace(-1, 1, nodes, dtype=torch.float64) for nodes in grid]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).view(-1, 3)


def by_grid_sample(volume: VmVolume, points: Tensor) -> Tensor:
    parts = []
    for (a, b, c), plane, line in zip(AXES, volume.planes, volume.lines, strict=True):
        # grid_sample wants the last axis first.
        at = points[:, [b, a]][None, None]
        on_plane = grid_sample(plane.permute(2, 0, 1)[None], at, align_corners=True)
        at = torch.stack([torch.zeros_like(points[:, c]), points[:, c]], dim=1)[None, None]
        on_line = grid_sample(line.T[None, :, :, None], at, align_corners=True)
        parts.append((on_plane * on_line)[0, :, 0].T)
    return torch.cat(parts, dim=1)


def test_features_are_bilinear_times_linear() -> None:
    volume = make_volume()
    points = torch.cat([random_points(50), node_points(GRID)])
    features = volume.features(points)
    assert features.shape == (50 + 4 * 3 * 5, volume.channels)
    torch.testing.assert_close(features, by_grid_sample(volume, points))


def test_features_by_hand() -> None:
    volume = VmVolume((1, 1, 1), (2, 2, 2), torch.Generator()).double()
    with torch.no_grad():
        for table in (*volume.planes, *volume.lines):
            table.zero_()
        volume.planes[1].copy_(torch.tensor([[1.0, 2.0], [3.0, 5.0]])[:, :, None])  # [x, z]
        volume.lines[1].copy_(torch.tensor([[10.0], [20.0]]))  # y
    # x at 3/4, y at 1/4, z at 1/2: plane 1/4 * 1.5 + 3/4 * 4 = 3.375, line 12.5.
    point = torch.tensor([[0.5, -0.5, 0.0]], dtype=torch.float64)
    assert volume.features(point).tolist() == [[0.0, 3.375 * 12.5, 0.0]]


def test_points_outside_take_the_value_on_the_face() -> None:
    volume = make_volume()
    outside = torch.tensor([[1.5, 0.2, -3.0]], dtype=torch.float64)
    torch.testing.assert_close(volume.features(outside), volume.features(outside.clamp(-1, 1)))


def test_node_sums_are_features_at_nodes() -> None:
    volume = make_volume()
    expected = volume.features(node_points(GRID)).sum(dim=1).view(GRID)
    torch.testing.assert_close(volume.node_sums(), expected)
    torch.testing.assert_close(volume.node_sums(1, 3), expected[1:3])


def test_trilinear_interpolation_of_the_sums_is_the_sum_of_the_features() -> None:
    volume = make_volume()
    points = random_points(50)
    # Bilinear times linear is linear along each axis inside a voxel, so both agree everywhere.
    torch.testing.assert_close(
        trilinear(volume.node_sums(), points), volume.features(points).sum(dim=1)
    )


def test_trilinear_by_hand() -> None:
    values = torch.arange(8.0).view(2, 2, 2)  # 4 x + 2 y + z on the corners
    points = torch.tensor([[0.5, -0.5, 0.0], [1.0, 1.0, 1.0], [-1.0, 1.0, -1.0]])
    assert trilinear(values, points).tolist() == [4 * 0.75 + 2 * 0.25 + 0.5, 7.0, 2.0]


def test_upsampling_to_halved_voxels_changes_no_value() -> None:
    volume = make_volume()
    finer = volume.upsampled((7, 5, 9))
    assert finer.grid == (7, 5, 9)
    assert finer.planes[2].shape == (5, 9, 2)
    points = random_points(50)
    torch.testing.assert_close(finer.double().features(points), volume.features(points))


def test_upsampling_interpolates_tables() -> None:
    volume = VmVolume((1, 1, 1), (2, 2, 2), torch.Generator())
    with torch.no_grad():
        volume.planes[0].copy_(torch.tensor([[0.0, 1.0], [2.0, 7.0]])[:, :, None])
        volume.lines[0].copy_(torch.tensor([[3.0], [6.0]]))
    finer = volume.upsampled((2, 3, 4))
    torch.testing.assert_close(
        finer.planes[0][:, :, 0], torch.tensor([[0.0, 0.5, 1.0], [2.0, 4.5, 7.0]])
    )
    torch.testing.assert_close(finer.lines[0][:, 0], torch.tensor([3.0, 4.0, 5.0, 6.0]))


def test_gradient_of_features() -> None:
    volume = make_volume((2, 3, 2))
    points = random_points(4)
    # gradcheck changes the parameters in place.
    assert torch.autograd.gradcheck(lambda *_: volume.features(points), tuple(volume.parameters()))


def test_first_of_known_corners_give_the_features_and_gradients_of_the_first_points() -> None:
    volume = make_volume(GRID)
    points = random_points(9)
    upstream = torch.randn(4, volume.channels, dtype=points.dtype)
    corners = find_corners(points, GRID)
    tables = tuple(volume.parameters())
    first, alone = volume.at(corners.first(4)), volume.features(points[:4])
    assert torch.equal(first, alone)
    for shared, own in zip(
        torch.autograd.grad(first, tables, upstream),
        torch.autograd.grad(alone, tables, upstream),
        strict=True,
    ):
        assert torch.equal(shared, own)


@pytest.mark.parametrize("channels", [1, 3])
def test_gradient_of_interpolate_equals_that_of_a_gather(channels: int) -> None:
    generator = torch.Generator().manual_seed(2)
    table = torch.randn(9, channels, generator=generator, dtype=torch.float64, requires_grad=True)
    # Rows 0, 4 and 8 are read by nobody, others by many.
    index = torch.tensor([[1, 2], [2, 3], [2, 2], [5, 7], [7, 6]], dtype=torch.int32)
    weight = torch.rand(5, 2, generator=generator, dtype=torch.float64)
    upstream = torch.randn(5, channels, generator=generator, dtype=torch.float64)
    naive = (table[index.long()] * weight[:, :, None]).sum(dim=1)
    result = interpolate(table, Reads(index, weight))
    torch.testing.assert_close(result, naive)
    (expected,) = torch.autograd.grad(naive, table, upstream)
    (gradient,) = torch.autograd.grad(result, table, upstream)
    torch.testing.assert_close(gradient, expected)
    assert not gradient[[0, 4, 8]].any()


def test_gradient_of_trilinear() -> None:
    values = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(3)).double()
    points = random_points(5)
    assert torch.autograd.gradcheck(lambda table: trilinear(table, points), values.requires_grad_())


def test_new_tables_are_drawn_from_the_generator() -> None:
    first, second = make_volume(), make_volume()
    for one, two in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, two)
    other = VmVolume(RANKS, GRID, torch.Generator().manual_seed(1))
    assert not torch.equal(other.lines[0].double(), first.lines[0])
