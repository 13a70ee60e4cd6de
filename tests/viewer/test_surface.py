"""What rays see of two balls."""

import pytest
import torch

from ovs3d.viewer.surface import Seen, Source, look
from tests.viewer.builders import CENTRES, RADIUS

STEP = 0.05
"""More than the distance of the field's samples, in world units."""


def towards(*points: tuple[float, float, float]) -> tuple[torch.Tensor, torch.Tensor]:
    directions = torch.tensor([[x / z, y / z, 1.0] for x, y, z in points])
    return torch.zeros_like(directions), directions


def test_rays_end_on_the_balls_and_know_their_labels(source: Source) -> None:
    seen = look(source, *towards(*CENTRES))
    # Slightly less than the distance of the centre along z: rays to the side meet the ball askew.
    expected = CENTRES[0][2] - RADIUS / (1 + (0.6 / 2.5) ** 2) ** 0.5
    assert seen.depth.numpy() == pytest.approx(expected, abs=STEP)
    assert seen.logits.argmax(dim=1).tolist() == [0, 1]
    assert (seen.solid > 0.9).all()
    assert (seen.opacity > 0.9).all()


def test_rays_that_meet_nothing_say_so(source: Source) -> None:
    seen = look(source, *towards((0.0, 0.0, 2.5), (0.0, -0.9, 2.0)))
    for values in (seen.depth, seen.opacity, seen.solid):
        assert values.tolist() == [0, 0]


def test_a_ray_past_an_edge_ends_on_one_surface_not_between_two(source: Source) -> None:
    origin, far = torch.tensor([[-3.0, 0.0, 2.5]]), CENTRES[1][0]
    # From the left the right ball shows behind the rim of the left one.
    rims = torch.linspace(0.3, 0.5, 81)
    directions = torch.stack([torch.ones(81), rims / 2.4, torch.zeros(81)], dim=1)
    seen = look(source, origin.expand(81, 3), directions)
    x = -3 + seen.depth[seen.depth > 0]
    assert len(x) > 40
    assert ((x < CENTRES[0][0] + STEP) | (x > far - RADIUS - STEP)).all()


def test_a_field_without_labels_has_colours(source: Source) -> None:
    with_labels = look(source, *towards(*CENTRES))
    without = look(Source(source.field, None), *towards(*CENTRES))
    assert without.logits.shape == (2, 0)
    assert torch.allclose(without.color, with_labels.color, atol=1e-5)
    assert torch.equal(without.depth, with_labels.depth)


def test_parts_are_joined_in_order(source: Source) -> None:
    rays = towards(*CENTRES)
    whole = look(source, *rays)
    halves = [look(source, rays[0][part], rays[1][part]) for part in (slice(0, 1), slice(1, 2))]
    assert torch.equal(Seen.join(halves).logits, whole.logits)
    assert torch.equal(whole.select(torch.tensor([False, True])).depth, whole.depth[1:])
