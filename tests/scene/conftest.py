"""Worlds that the formats of other tools are written from."""

import pytest

from tests.scene.formats import Truth, make_truth
from tests.scene.importing import VIEWS
from tests.synthetic import make_scene


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    return make_truth(make_scene(VIEWS, 160, 120), tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def bent(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """Every photo with its own focal length, all distorted."""
    scene = make_scene(VIEWS, 160, 120, distortion=0.08, zoom=0.1)
    return make_truth(scene, tmp_path_factory.mktemp("bent"))
