import io
from pathlib import Path

import torch

from ovs3d.photos.dataset import open_photos
from ovs3d.reconstruct.rays import BatchSampler, load_rays
from ovs3d.space.cameras import pixel_centres
from tests.synthetic import SyntheticScene


def test_the_pool_holds_every_pixel_of_the_views(scene: SyntheticScene, scene_folder: Path) -> None:
    photos = open_photos(scene_folder / "images")
    pool = load_rays(photos, scene.cameras, (1, 4), 1, torch.device("cpu"))
    pixels = 96 * 72
    assert len(pool) == 2 * pixels
    index = torch.tensor([0, pixels - 1, pixels, pixels + 96 * 10 + 7])
    origins, directions, colors, views = pool.batch(index)
    for row, (view, pixel) in enumerate([(1, 0), (1, pixels - 1), (4, 0), (4, 967)]):
        origin, direction = scene.cameras.rays(view, pixel_centres(96, 72, 1)[pixel][None])
        assert torch.equal(origins[row], origin[0])
        assert torch.equal(directions[row], direction[0])
        expected = scene.photos[view].view(-1, 3)[pixel] / 255
        assert torch.equal(colors[row], expected)
    assert views.tolist() == [0, 0, 1, 1]


def test_each_ray_comes_once_before_any_comes_again() -> None:
    sampler = BatchSampler(12, 4, torch.Generator().manual_seed(0))
    first = torch.cat([sampler.next() for _ in range(3)])
    second = torch.cat([sampler.next() for _ in range(3)])
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(12))
    assert first.tolist() != second.tolist()
    assert first.tolist() != list(range(12))


def test_a_rest_is_passed_over() -> None:
    sampler = BatchSampler(10, 4, torch.Generator().manual_seed(0))
    for _ in range(6):
        batch = sampler.next()
        assert len(set(batch.tolist())) == 4


def test_a_batch_is_no_larger_than_the_pool() -> None:
    sampler = BatchSampler(3, 100, torch.Generator().manual_seed(0))
    assert sorted(sampler.next().tolist()) == [0, 1, 2]


def test_a_small_state_brings_back_the_batches_to_come() -> None:
    generator = torch.Generator().manual_seed(0)
    sampler = BatchSampler(50_000, 20_000, generator)
    for taken in range(4):
        state, drawn = sampler.state(), generator.get_state()
        file = io.BytesIO()
        torch.save(state, file)
        assert file.tell() < 20_000
        expected = [sampler.next() for _ in range(3)]
        generator.set_state(drawn)
        other = BatchSampler(50_000, 20_000, generator)
        other.restore(state)
        found = [other.next() for _ in range(3)]
        assert all(map(torch.equal, found, expected)), taken
        sampler = other
