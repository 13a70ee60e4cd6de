"""Make `docs/images/viewer.png`: the viewer with the demo scene, after a text was typed."""

import re
import sys
from pathlib import Path

from ovs3d.errors import Ovs3dError, guarded
from tools.browser import ViewerPage, chromium, find_chromium, viewer

_TEXT = "red apple"
_OUT = Path("docs/images/viewer.png")
_CLICK = (645, 290)
_REST_SECONDS = 20


def main() -> None:
    """Type a text into the viewer of the demo, and keep what the browser shows.

    Raises:
        Ovs3dError: this machine has no Chromium.
    """
    path = find_chromium()
    if path is None:
        raise Ovs3dError("no Chromium on this machine; apt-get install chromium")
    with viewer(Path.cwd(), "demo") as (address, _), chromium(path) as browser:
        page = ViewerPage(browser, address, 1200, 660)
        before = page.wait_for_scene()
        page.control("Look for").fill(_TEXT)
        page.wait_for_text(re.compile(f"^'{_TEXT}': "))
        page.wait_for_picture_unlike(before)
        page.page.mouse.click(*_CLICK)
        page.wait_for_text(re.compile(r"cosine \d"))
        # Until the picture from the field has replaced that of the splats.
        page.page.wait_for_timeout(1000 * _REST_SECONDS)
        page.page.screenshot(path=_OUT)


if __name__ == "__main__":
    sys.exit(guarded("viewer_picture", main))
