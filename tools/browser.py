"""The viewer in a headless Chromium: for its tests, and for the picture in the README."""

import io
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Download, Locator, Page, sync_playwright

PANEL_WIDTH = 330
"""Pixels on the right that belong to the controls."""

_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
# Machines without a GPU draw WebGL in software, which Chromium wants to be asked for.
_FLAGS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
_SECONDS = 120
_COLOURS = 30
"""That a picture of a scene has at least, of 4096; an empty page has a few."""
_REST_SECONDS = 4
"""A picture that stays the same for so long is finished: one a second comes until then."""
# What viser says to those whose WebGL is drawn in software.
_NOTICE = "Software WebGL"


def find_chromium() -> str | None:
    """Return the path of a Chromium of this machine, if it has one."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


@contextmanager
def viewer(project: Path, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run `ovs3d view` in a project; Ctrl-C ends it.

    Args:
        project: its folder.
        arguments: names of scenes, options.

    Yields:
        The address to open, and the process.
    """
    command = (sys.executable, "-m", "ovs3d.apps.cli", "view", *arguments, "--port", "0")
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(project)}
    with subprocess.Popen(
        command, cwd=project, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        try:
            address = next(line.split()[0] for line in process.stdout if line.startswith("http"))
            yield address, process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(_SECONDS)


@contextmanager
def chromium(path: str) -> Iterator[Browser]:
    """Run a browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        yield browser
        browser.close()


class ViewerPage:
    """A page that shows the viewer.

    Attributes:
        page: of the browser.
        errors: what the page has complained about.
    """

    def __init__(
        self, browser: Browser, address: str, width: int = 1200, height: int = 700
    ) -> None:
        """Open the viewer and wait for its controls."""
        self.page: Page = browser.new_page(viewport={"width": width, "height": height})
        self.page.set_default_timeout(1000 * _SECONDS)
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "console", lambda said: self.errors.append(said.text) if said.type == "error" else None
        )
        self.page.goto(address)
        self.wait_for_controls()

    def wait_for_controls(self) -> None:
        """Wait until the last of the controls is there, and close viser's notice."""
        self.page.get_by_text("Take away").wait_for()
        notice = self.page.get_by_text(_NOTICE)
        if notice.count():
            notice.locator("xpath=ancestor::div[@role='alert'][1]//button").click()
            notice.wait_for(state="detached")

    def control(self, label: str) -> Locator:
        """Return what belongs to a label of the panel."""
        row = "xpath=ancestor::div[contains(@class,'mantine-Flex-root')][1]"
        name = self.page.locator("label", has_text=re.compile(f"^{re.escape(label)}$"))
        return name.locator(row).locator("input:visible")

    def choose(self, label: str, option: str) -> None:
        """Take an option of a list."""
        self.control(label).click()
        self.page.get_by_role("option", name=option, exact=True).click()

    def press(self, text: str) -> None:
        """Press a button."""
        self.page.get_by_role("button", name=text, exact=True).click()

    def wait_for_text(self, text: str | re.Pattern[str]) -> str:
        """Wait for a text to be shown; return all of its line."""
        found = self.page.get_by_text(text).first
        found.wait_for()
        return found.inner_text()

    def download(self, button: str) -> Download:
        """Press a button that ends in a download."""
        with self.page.expect_download() as download:
            self.press(button)
        return download.value

    def picture(self) -> NDArray[np.uint8]:
        """Return what is shown beside the controls, uint8 [h, w, 3]."""
        size = self.page.viewport_size
        assert size
        clip = {"x": 0, "y": 0, "width": size["width"] - PANEL_WIDTH, "height": size["height"]}
        content = self.page.screenshot(clip=clip)  # type: ignore[arg-type]
        return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))

    def wait_for_scene(self) -> NDArray[np.uint8]:
        """Wait until more than an empty page is shown and gets no better, and return that.

        Raises:
            TimeoutError: it stays empty, or goes on changing.
        """
        before = self.picture()
        for _ in range(_SECONDS // _REST_SECONDS):
            self.page.wait_for_timeout(1000 * _REST_SECONDS)
            picture = self.picture()
            colours = len(np.unique(picture.reshape(-1, 3) // 16, axis=0))
            if colours >= _COLOURS and np.array_equal(picture, before):
                return picture
            before = picture
        raise TimeoutError("no picture comes")

    def wait_for_picture_unlike(self, other: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Wait until something else is shown, and return that.

        Raises:
            TimeoutError: it stays as it is.
        """
        for _ in range(2 * _SECONDS):
            picture = self.picture()
            if differing(picture, other) > 0.02:
                return picture
            self.page.wait_for_timeout(500)
        raise TimeoutError("the picture does not change")


def differing(picture: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Return the share of pixels that are clearly of another colour."""
    return float((np.abs(picture.astype(int) - other).max(axis=-1) > 40).mean())
