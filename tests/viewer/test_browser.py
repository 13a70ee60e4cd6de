"""The viewer as its user has it: `ovs3d view` and a browser."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.project import SCENE
from tests.synthetic import LABELS
from tools.browser import ViewerPage, chromium, differing, find_chromium, viewer

CHROMIUM = find_chromium()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def served(built_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A viewer of the built scene, and a browser."""
    folder = tmp_path_factory.mktemp("viewer") / "project"
    shutil.copytree(built_project, folder, symlinks=True)
    assert CHROMIUM
    with viewer(folder, SCENE) as (address, process), chromium(CHROMIUM) as browser:
        yield SimpleNamespace(folder=folder, address=address, browser=browser, process=process)
    assert process.returncode == 0


@pytest.fixture
def page(served: Any) -> Iterator[ViewerPage]:
    """The viewer, loaded."""
    found = ViewerPage(served.browser, served.address)
    yield found
    found.page.close()
    assert found.errors == []


def test_the_scene_is_there_after_loading_and_after_loading_again(page: ViewerPage) -> None:
    page.wait_for_scene()
    page.choose("Show", "labels")
    page.page.reload()
    page.wait_for_controls()
    page.wait_for_scene()
    assert page.control("Show").input_value() == "colours"


def test_a_typed_text_is_answered_and_shown(page: ViewerPage) -> None:
    before = page.wait_for_scene()
    page.control("Look for").fill("red box")
    line = page.wait_for_text(re.compile("^'red box': "))
    assert "found" in line
    assert page.control("Show").input_value() == "relevancy"
    page.wait_for_picture_unlike(before)
    page.control("Look for").fill("")
    page.wait_for_text("type what to look for")
    page.control("Look for").fill("x" * 10_000)
    assert len(page.wait_for_text(re.compile("^'xxx"))) < 300


def test_labels_can_be_hidden_and_shown_again(page: ViewerPage) -> None:
    page.choose("Show", "labels")
    before = page.wait_for_scene()
    page.press("none")
    hidden = page.wait_for_picture_unlike(before)
    assert not page.control(LABELS[0]).is_checked()
    page.control(LABELS[-1]).click()
    page.press("all")
    page.wait_for_picture_unlike(hidden)
    assert all(page.control(label).is_checked() for label in LABELS)


def test_a_click_names_what_is_there(page: ViewerPage) -> None:
    page.wait_for_scene()
    page.page.mouse.click(120, 480)
    line = page.wait_for_text(re.compile(r"cosine -?\d\.\d\d"))
    assert any(label in line for label in LABELS)


def test_an_export_reaches_the_browser_and_the_disk(page: ViewerPage, served: Any) -> None:
    page.wait_for_scene()
    for button, folder in (("Objects (GLB)", "export"), ("This picture (PNG)", "view")):
        download = page.download(button)
        kept = served.folder / "data" / folder / SCENE / download.suggested_filename
        assert Path(download.path()).read_bytes() == kept.read_bytes()
    page.wait_for_text(re.compile(r"^picture of boxes: .*picture-001\.png"))


def test_two_windows_do_not_disturb_each_other(page: ViewerPage, served: Any) -> None:
    other = ViewerPage(served.browser, served.address)
    first, second = (window.wait_for_scene() for window in (page, other))
    page.choose("Show", "depth")
    page.wait_for_picture_unlike(first)
    assert differing(other.picture(), second) < 0.02
    assert other.control("Show").input_value() == "colours"
    other.page.close()
    assert page.picture().any()


def test_a_jump_and_the_comparison_with_the_photo(page: ViewerPage) -> None:
    before = page.wait_for_scene()
    page.control("Photo").click()
    page.page.get_by_role("option").first.click()
    page.press("Jump to it")
    there = page.wait_for_picture_unlike(before)
    page.choose("Show", "labels")
    tinted = page.wait_for_picture_unlike(there)
    page.control("Compare").fill("1")
    page.wait_for_picture_unlike(tinted)


def test_a_video_is_made_even_if_the_browser_closes(served: Any, page: ViewerPage) -> None:
    gone = ViewerPage(served.browser, served.address)
    gone.wait_for_scene()
    gone.page.get_by_text("Camera path").click()
    gone.press("add this")
    gone.page.mouse.move(400, 400)
    gone.page.mouse.down()
    gone.page.mouse.move(500, 380, steps=4)
    gone.page.mouse.up()
    gone.page.wait_for_timeout(500)
    gone.press("add this")
    gone.wait_for_text("2 views; the path goes through them in this order.")
    gone.press("Render video")
    gone.wait_for_text(re.compile("^video of boxes: "))
    gone.page.close()
    # Another window is told, and so is one that is opened afterwards.
    page.wait_for_text(re.compile(r"^video of boxes: .*video-001\.mp4"))
    page.page.reload()
    page.wait_for_controls()
    page.wait_for_text(re.compile(r"^video of boxes: .*video-001\.mp4"))
    assert (served.folder / "data" / "view" / SCENE / "video-001.mp4").stat().st_size > 1000
