"""Pictures from splats and from the field."""

import numpy as np
import pytest

from ovs3d.photos.dataset import load_photo
from ovs3d.viewer.camera import of_photo
from ovs3d.viewer.paint import Answer, Look
from ovs3d.viewer.pictures import Refinement, draw, splat_picture, warp_photo
from ovs3d.viewer.raster import NOTHING
from ovs3d.viewer.scene import OpenScene
from tests.viewer.builders import CENTRES, NAME, front, give_volume, pixel_of, write_scene

LEFT, RIGHT = (pixel_of(centre, front()) for centre in CENTRES)


def refined(scene: OpenScene) -> Refinement:
    refinement = Refinement(scene, front())
    assert scene.source
    while not refinement.done:
        refinement.advance(scene.source)
    return refinement


def test_splats_and_field_show_the_same(opened: OpenScene) -> None:
    opened.prepare().join()
    fast = splat_picture(opened, Look(), front())
    slow = refined(opened).over(fast, Look())
    assert fast.shape == slow.shape == (80, 120, 3)
    drawn = draw(opened.surface, frozenset(), front()).splat != NOTHING
    assert 0.1 < drawn.mean() < 0.5
    different = np.abs(fast.astype(int) - slow).max(axis=-1) > 25
    assert different.mean() < 0.05


def test_labels_depth_and_relevancy_agree_too(opened: OpenScene) -> None:
    opened.prepare().join()
    give_volume(opened)
    answer = Answer(np.array([0.9, 0.1], dtype=np.float32), 0.5)
    for how in (Look("labels"), Look("depth"), Look("relevancy", answer=answer)):
        fast = splat_picture(opened, how, front())
        slow = refined(opened).over(fast, how)
        for place in (LEFT, RIGHT):
            assert np.abs(fast[place].astype(int) - slow[place]).max() < 25, how.layer
    assert not np.array_equal(fast[LEFT], fast[RIGHT])


def test_hidden_labels_are_not_drawn(opened: OpenScene) -> None:
    picture = splat_picture(opened, Look(hidden=frozenset({0})), front())
    assert not picture[LEFT].any()
    assert picture[RIGHT].any()


def test_rows_that_are_not_done_stay(opened: OpenScene) -> None:
    refinement = Refinement(opened, front())
    under = np.full((80, 120, 3), 7, dtype=np.uint8)
    assert np.array_equal(refinement.over(under, Look()), under)
    refinement.rows = 30
    assert not refinement.over(under, Look())[:30].any()
    assert (refinement.over(under, Look())[30:] == 7).all()


def test_a_refinement_fits_its_scene_and_camera_alone(opened: OpenScene) -> None:
    refinement = Refinement(opened, front())
    assert refinement.fits(opened, front())
    assert not refinement.fits(opened, front(60, 40))
    assert not refinement.fits(OpenScene(opened.name), front())


def test_a_photo_covers_as_much_of_the_picture_as_is_asked_for(opened: OpenScene) -> None:
    camera = of_photo(opened.cameras, 2, 96, 72)
    warped = warp_photo(opened, 2, camera)
    assert warped
    assert opened.photos
    photo = load_photo(opened.photos.paths[2], 1).numpy().astype(int)
    assert warped.inside.mean() > 0.9
    # The same size and place: the same picture, to the pixel or two of the principal point.
    assert np.abs(warped.picture - photo)[warped.inside].mean() < 5
    wiped = warped.wiped(np.zeros_like(warped.picture), 0.5)
    assert np.array_equal(
        wiped[:, :48], np.where(warped.inside[..., None], warped.picture, 0)[:, :48]
    )
    assert not wiped[:, 48:].any()


@pytest.mark.usefixtures("project")
def test_without_photos_there_is_nothing_to_compare_with() -> None:
    write_scene(("poses", "distill"))
    scene = OpenScene(NAME)
    assert warp_photo(scene, 2, of_photo(scene.cameras, 2, 96, 72)) is None
