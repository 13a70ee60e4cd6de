"""The published form of the field that ours is measured against."""

import torch

from benchmarks.cases import field as cases
from benchmarks.naive.tensorf import Schedule, Tensorf
from benchmarks.report import relative_differences
from ovs3d.field.vm import VmVolume
from tests.field.builders import UNIT_BOX, random_rays


def test_both_forms_agree_on_planes_lines_and_rays() -> None:
    small = (cases.volume_inputs(300, (9, 7, 11)), cases.ray_inputs(30))
    for benchmark, inputs in zip(cases.BENCHMARKS, small, strict=True):
        assert benchmark.naive is not None
        naive, ours = benchmark.naive(inputs).values, benchmark.ours(inputs).values
        differences = relative_differences(naive, ours)
        assert set(differences) == set(naive)
        assert len(differences) >= 4
        assert max(differences.values()) < 1e-4


def test_a_changed_table_is_a_difference() -> None:
    volume = VmVolume((48, 12, 12), (5, 4, 6), torch.Generator().manual_seed(0))
    naive = cases.naive_volume(volume, (5, 4, 6))
    points = torch.tensor([[0.1, -0.2, 0.3]])
    with torch.no_grad():
        torch.testing.assert_close(naive(points), volume.features(points))
        naive.planes[1] += 0.1
        assert float((naive(points) - volume.features(points)).abs().max()) > 1e-3


def test_the_published_form_learns_and_grows() -> None:
    torch.manual_seed(0)
    model = Tensorf(UNIT_BOX, Schedule(40, 8**3, 16**3, (10, 20), (15,)))
    origins, directions = random_rays(256)
    # Red above, blue below.
    target = torch.where(
        directions[:, 1:2] > 0, torch.tensor([1.0, 0, 0]), torch.tensor([0, 0, 1.0])
    )
    errors = [model.step(number, origins, directions, target) for number in range(1, 41)]
    assert model.grid == UNIT_BOX.grid(16**3)
    assert model.alpha is not None
    assert sum(errors[-5:]) < 0.9 * sum(errors[:5])  # 0.81 when this was written
