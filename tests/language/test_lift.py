"""Lifting onto two balls: where the points are, what they say, and that a kill changes nothing."""

from pathlib import Path
from typing import cast

import pytest
import torch
from PIL import Image
from torch.nn.functional import cosine_similarity, normalize

from ovs3d.errors import StoreError
from ovs3d.field.march import march
from ovs3d.files import digest
from ovs3d.language.lift import Lifted, Lifter, LiftInputs
from ovs3d.language.store import read_arrays, write_arrays
from ovs3d.language.surface import LIGHT, empty_surface, limited, see
from ovs3d.resume import Checkpoint
from tests.field.builders import balls
from tests.language.world import (
    CENTRES,
    DIM,
    RADIUS,
    SCALES,
    SPACE,
    VIEWS,
    WORDS,
    Windows,
    lift_params,
    make_inputs,
    pixels,
    vectors,
)


class Eager(Checkpoint):
    """A checkpoint that is always due."""

    due = True


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> LiftInputs:
    return make_inputs(tmp_path_factory.mktemp("lift") / "images")


@pytest.fixture(scope="module")
def lifted(inputs: LiftInputs) -> Lifted:
    return Lifter(inputs, lift_params()).run()


def owners(points: torch.Tensor) -> torch.Tensor:
    return (points[:, 0] > 0).long()


def test_points_lie_on_the_balls_and_face_the_cameras(inputs: LiftInputs, lifted: Lifted) -> None:
    points = inputs.field.space.to_world(lifted.surface.grid_points)
    offsets = points - torch.tensor(CENTRES)[owners(points)]
    voxel = 3.0 / 59
    assert ((offsets.norm(dim=1) - RADIUS).abs() < 1.5 * voxel).float().mean() > 0.98
    outwards = (normalize(offsets, dim=1) * lifted.surface.normals).sum(1)
    assert outwards.mean() > 0.9
    assert offsets[:, 2].mean() < 0
    assert (lifted.surface.colours == torch.tensor([90, 120, 150], dtype=torch.uint8)).all()


def test_points_say_what_the_pixels_say_that_see_them(inputs: LiftInputs, lifted: Lifted) -> None:
    points = inputs.field.space.to_world(lifted.surface.grid_points)
    expected = vectors(WORDS[:2])[owners(points)]
    decoded = lifted.codes.decode()
    assert decoded.shape == (len(points), SCALES, DIM)
    # At its rim a ball shares pixels with the sky.
    assert cosine_similarity(decoded[:, 0], expected).median() > 0.99
    assert (cosine_similarity(decoded[:, 0], expected) > 0.9).float().mean() > 0.9


def test_features_are_means_by_the_weights_of_the_rays(inputs: LiftInputs, lifted: Lifted) -> None:
    """Against a plain loop over samples."""
    sums = torch.zeros(len(lifted.surface.voxels), SCALES * DIM)
    xy = pixels(inputs.cameras, 2)
    for view in VIEWS:
        samples = march(inputs.field, *inputs.cameras.rays(view, xy), LIGHT)
        ys, xs = inputs.clip.cells(xy)
        windows = cast(Windows, inputs.clip)
        features = normalize(windows.gather(torch.full_like(ys, view), ys, xs), dim=2).flatten(1)
        rows = lifted.surface.rows(samples.points).tolist()
        rays = samples.rows.tolist()
        for sample, (row, ray) in enumerate(zip(rows, rays, strict=True)):
            if row >= 0:
                sums[row] += samples.weights[sample] * features[ray]
    whole = normalize(sums.view(-1, SCALES, DIM), dim=2)
    cosines = cosine_similarity(lifted.codes.decode(), whole, dim=2)
    assert cosines.min() > 0.99
    assert lifted.cosines.quantile(0.01) > 0.98


def test_codes_have_as_many_numbers_as_pixels_show_things(lifted: Lifted) -> None:
    """Two balls and the sky."""
    assert lifted.codes.values.shape[2] == 3
    assert lifted.cosines.mean() >= 0.99


@pytest.mark.parametrize("fail_at", [1, 5, 7])
def test_a_killed_lift_ends_with_the_same_bytes(
    inputs: LiftInputs, lifted: Lifted, tmp_path: Path, fail_at: int
) -> None:
    windows = cast(Windows, inputs.clip)
    windows.reads, windows.fail_at = 0, fail_at
    checkpoint = Eager(tmp_path / "unfinished.pt", {"a.py": "3c"}, {"scene": "balls"})
    with pytest.raises(KeyboardInterrupt):
        Lifter(inputs, lift_params()).run(checkpoint)
    windows.fail_at = None
    windows.reads = 0
    resumed = Lifter(inputs, lift_params()).run(checkpoint)
    assert windows.reads <= 2 * len(VIEWS) - (fail_at - 1)
    stores = []
    for name, found in (("unbroken", lifted), ("resumed", resumed)):
        arrays = {"codes": found.codes.values.numpy(), "sums": found.surface.sums.numpy()}
        write_arrays(tmp_path / name, arrays, {"basis": found.codes.basis.tolist()})
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        stores.append([(str(path.relative_to(tmp_path / name)), digest(path)) for path in files])
    assert stores[0] == stores[1]
    assert read_arrays(tmp_path / "resumed")[0]["codes"].shape == lifted.codes.values.shape


def test_voxels_are_put_together_until_there_are_few_enough(inputs: LiftInputs) -> None:
    surface = empty_surface(inputs.field)
    for view in VIEWS:
        surface = see(surface, inputs.field, inputs.photos, inputs.cameras, view, 2)
    fewer = limited(surface, 200)
    assert 60 < len(fewer.voxels) <= 200 < len(surface.voxels)
    assert fewer.sums[:, -1].sum() == surface.sums[:, -1].sum()
    rows = fewer.rows(fewer.grid_points)
    assert (rows == torch.arange(len(rows))).float().mean() > 0.95


def test_views_without_a_pose_or_features_are_left_out(inputs: LiftInputs) -> None:
    other = LiftInputs(
        inputs.field, inputs.photos, inputs.cameras.only({0, 3, 5}), (0, 1, 3), inputs.clip
    )
    assert other.views == (0, 3)


def test_nothing_to_lift_is_told(inputs: LiftInputs, tmp_path: Path) -> None:
    parts = (inputs.field, inputs.photos, inputs.cameras.only({5}), VIEWS)
    cast(Windows, inputs.clip).path = tmp_path
    with pytest.raises(StoreError, match="none of the views with a pose"):
        Lifter(LiftInputs(*parts, inputs.clip), lift_params())
    empty = balls(SPACE, (20, 20, 20))
    empty.update_occupancy()
    nothing = LiftInputs(empty, inputs.photos, inputs.cameras, VIEWS, inputs.clip)
    with pytest.raises(StoreError, match="no surface"):
        Lifter(nothing, lift_params()).run()


def test_nothing_is_lifted_from_what_a_photo_leaves_out(tmp_path: Path) -> None:
    """Where all photos are transparent but for their left half, their right half shows nothing."""
    inputs = make_inputs(tmp_path / "photos")
    whole = Lifter(inputs, lift_params()).run()
    for path in inputs.photos.paths:
        with Image.open(path) as photo:
            opaque = photo.convert("RGBA")
        opaque.paste((255, 0, 255, 0), (opaque.width // 2, 0, opaque.width, opaque.height))
        opaque.save(path, "PNG")
    half = Lifter(inputs, lift_params()).run()
    assert 0 < len(half.surface.voxels) < 0.9 * len(whole.surface.voxels)
    assert (half.surface.sums[:, -1].sum()) < 0.7 * whole.surface.sums[:, -1].sum()
    assert (half.surface.colours != half.surface.colours.new_tensor([255, 0, 255])).any(1).all()
