"""Fixtures of the viewer's tests."""

from pathlib import Path

import pytest

from ovs3d.viewer.scene import OpenScene
from ovs3d.viewer.surface import Source
from tests.viewer.builders import NAME, two_balls, write_scene


@pytest.fixture(scope="session")
def source() -> Source:
    """Two balls."""
    return two_balls()


@pytest.fixture
def opened(project: Path) -> OpenScene:  # noqa: ARG001 - the current folder
    """The same as a scene on disk that is built but for its language volume."""
    write_scene(("poses", "images", "reconstruct", "distill"))
    return OpenScene(NAME)
