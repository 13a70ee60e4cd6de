import json

import pytest
import torch

from ovs3d.field import model
from ovs3d.field.model import Field, FieldConfig
from ovs3d.field.render import render_rays
from tests.field.builders import fog, lump, random_rays


def test_a_field_is_built_on_the_device_asked_for() -> None:
    field = Field(fog().config, device="meta")
    assert all(parameter.is_meta for parameter in field.parameters())
    assert field.occupancy.is_meta
    drawn = fog().state_dict()
    assert {k: v.shape for k, v in field.state_dict().items()} == {
        k: v.shape for k, v in drawn.items()
    }


def test_equal_seeds_give_equal_fields() -> None:
    first, second, third = fog(seed=1).state_dict(), fog(seed=1).state_dict(), fog(seed=2)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not any(torch.equal(first[k], v) for k, v in third.state_dict().items())


def test_config_survives_json() -> None:
    config = fog().config
    assert FieldConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@torch.no_grad()
def test_colors_lie_between_black_and_white() -> None:
    field = fog()
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(500, 5, generator=generator) * 1000
    colors = field.colors(vectors, torch.randn(500, 3, generator=generator))
    assert colors.shape == (500, 3)
    assert float(colors.min()) >= 0
    assert float(colors.max()) <= 1
    assert float(colors.std()) > 0.1


def test_colors_depend_on_where_rays_go_not_on_their_length() -> None:
    field = fog()
    vectors = torch.ones(2, 5)
    directions = torch.tensor([[0.3, -0.2, 1.0], [-0.3, 0.5, 1.0]])
    colors = field.colors(vectors, directions)
    torch.testing.assert_close(field.colors(vectors, directions * 7), colors)
    assert float((colors[0] - colors[1]).detach().abs().max()) > 1e-3


def test_optical_depth_by_hand() -> None:
    field = lump()
    # The empty part has raw density -20 everywhere: softplus(-23) = e^-23; 25 * 0.5 steps of 2 / n.
    empty = torch.tensor([[-1.0, 1.0, -1.0]])
    n = (5 * 4 * 6) ** (1 / 3)
    expected = torch.tensor([-23.0]).exp() * 25 * 0.5 * 2 / n
    torch.testing.assert_close(field.optical_depth(empty).detach(), expected, rtol=1e-3, atol=0)
    # Node (2, 1, 4): -20 + 60 - 3 = 37, which softplus leaves as it is.
    node = torch.tensor([[2 / 5, 1 / 4, 4 / 6]]) * 2 - 1
    expected = torch.tensor([37 * 25 / n])
    torch.testing.assert_close(field.optical_depth(node).detach(), expected, rtol=1e-4, atol=0)


def test_density_without_a_table_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    field = fog()
    points = torch.rand(50, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1
    table = field.density_table()
    assert table is not None
    with_table = field.optical_depth(points, table)
    monkeypatch.setattr(model, "_MAX_TABLE_NODES", 6 * 5 * 7 - 1)
    assert field.density_table() is None
    torch.testing.assert_close(field.optical_depth(points), with_table)


def test_few_and_many_points_have_the_same_density_and_gradient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    field = fog((17, 15, 19))
    points = torch.rand(60, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1
    gradients = []
    for nodes_per_point in (1, 10_000):  # planes and lines; a table
        monkeypatch.setattr(model, "_NODES_PER_POINT", nodes_per_point)
        depth = field.optical_depth(points)
        tables = [*field.density.planes, *field.density.lines]
        gradients.append([depth.detach(), *torch.autograd.grad(depth.square().sum(), tables)])
    for direct, through_table in zip(*gradients, strict=True):
        scale = float(direct.abs().max())
        torch.testing.assert_close(through_table, direct, rtol=0, atol=1e-5 * scale)


def test_an_upsampled_field_renders_nearly_the_same() -> None:
    field = fog((17, 15, 19))
    finer = field.upsampled((33, 29, 37))
    assert finer.config.grid == (33, 29, 37)
    assert finer.occupancy.shape == (33, 29, 37)
    rays = random_rays(50)
    before, after = render_rays(field, *rays), render_rays(finer, *rays)
    # Samples are twice as dense and count half as much, up to (n - 1) / n of the step length.
    torch.testing.assert_close(after.opacity, before.opacity, rtol=0, atol=0.04)
    torch.testing.assert_close(after.depth, before.depth, rtol=0, atol=0.03)
    torch.testing.assert_close(after.color, before.color, rtol=0, atol=0.02)
    assert float(before.color.std()) > 0.01


def test_upsampling_widens_the_occupancy() -> None:
    finer = lump().upsampled((11, 9, 13))
    widened = finer.occupancy
    finer.update_occupancy()
    assert (widened >= finer.occupancy).all()
    assert 0 < finer.occupancy.sum() < widened.sum() < widened.numel()
