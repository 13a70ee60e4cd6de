import torch

from ovs3d.field.march import march
from ovs3d.field.render import render_rays, shade
from tests.field.builders import fog, lump, random_rays


@torch.no_grad()
def test_an_empty_field_is_black() -> None:
    field = lump()
    field.density.lines[0][:, 1] = 0  # the lump is gone
    field.update_occupancy()
    picture = render_rays(field, *random_rays(9))
    assert not picture.color.any()
    assert not picture.opacity.any()
    assert not picture.depth.any()


def test_rays_that_miss_are_black() -> None:
    field = fog()
    origins = torch.tensor([[0.0, 0.0, -2.0], [5.0, 0.0, -2.0]])
    picture = render_rays(field, origins, torch.tensor([[0.0, 0.0, 1.0]] * 2))
    assert float(picture.opacity[0]) > 0.5
    assert picture.opacity[1] == 0
    assert not picture.color[1].any()


def test_no_rays_give_no_pixels() -> None:
    picture = render_rays(fog(), torch.empty(0, 3), torch.empty(0, 3))
    assert picture.color.shape == (0, 3)
    assert picture.depth.shape == picture.opacity.shape == (0,)


@torch.no_grad()
def test_shading_per_sample_equals_a_loop() -> None:
    field = fog(shading="sample")
    origins, directions = random_rays(4)
    samples = march(field, origins, directions, -1.0)
    color = shade(field, samples, directions)
    for ray in range(4):
        expected = torch.zeros(3)
        for at in range(int(samples.offsets[ray]), int(samples.offsets[ray + 1])):
            vector = field.features(samples.points[at : at + 1])
            expected += samples.weights[at] * field.colors(vector, directions[ray : ray + 1])[0]
        torch.testing.assert_close(color[ray], expected)


@torch.no_grad()
def test_shading_per_ray_colours_the_mean_vector() -> None:
    field = fog(shading="ray")
    origins, directions = random_rays(4)
    samples = march(field, origins, directions, -1.0)
    color = shade(field, samples, directions)
    for ray in range(4):
        part = slice(int(samples.offsets[ray]), int(samples.offsets[ray + 1]))
        weights = samples.weights[part, None]
        mean = (field.features(samples.points[part]) * weights).sum(dim=0) / weights.sum()
        expected = field.colors(mean[None], directions[ray : ray + 1])[0] * weights.sum()
        torch.testing.assert_close(color[ray], expected, rtol=1e-4, atol=1e-6)
