"""The page about a scene: complete, without network, and fit for a browser."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ovs3d.apps.report_inputs import ReportInputs
from ovs3d.apps.report_page import write_report
from ovs3d.errors import StoreError
from ovs3d.evaluation.report import EvaluationInputs, evaluate_scene
from ovs3d.evaluation.scored_views import choose_views
from ovs3d.exports.html import curves, slider, table
from ovs3d.photos.dataset import open_photos
from tests.evaluation.oracle import OracleSegmentation
from tests.synthetic import LABELS, SyntheticScene, pack_masks, write_scene

CPU = torch.device("cpu")
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-headless-shell", "google-chrome"))), None
)
NAME = "boxes <i>&"
"""A name that would break a page which does not escape it."""


@pytest.fixture(scope="module")
def inputs(scene: SyntheticScene, tmp_path_factory: pytest.TempPathFactory) -> ReportInputs:
    """A scene whose stages have run; its test view is 4, view 1 is to choose by."""
    data = tmp_path_factory.mktemp("report") / "data"
    write_scene(scene, data / "raw" / NAME)
    photos = open_photos(data / "raw" / NAME / "images")
    masks = {view: pack_masks(scene.label_maps[view].numpy()) for view in (1, 4)}
    views = choose_views((1,), (4,), masks.keys(), scene.cameras.views, "held_out")
    model = OracleSegmentation()
    scored = EvaluationInputs(photos, scene.cameras, masks, views)
    evaluate_scene(model, scored, (2, 3, 4), 1, CPU, data / "evaluate" / NAME)
    for stage, lines in (
        ("reconstruct", "step,loss,psnr\n10,0.5,20\n20,0.25,25\n"),
        ("distill", "step,total,rda\n10,3,1\n20,1,0.5\n"),
    ):
        (data / stage / NAME).mkdir(parents=True)
        (data / stage / NAME / "loss.csv").write_text(lines)
    for stage, name in (("poses", "overview.png"), ("dino_features", "pca.png")):
        (data / stage / NAME).mkdir(parents=True)
        Image.new("RGB", (300, 100), (200, 10, 10)).save(data / stage / NAME / name)
    parameters = {"seed": 0, "text": "</pre><script>alert(1)</script>"}
    return ReportInputs(NAME, data, photos, scene.cameras, model, masks, parameters, 1, CPU)


@pytest.fixture(scope="module")
def page(inputs: ReportInputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page."""
    out = tmp_path_factory.mktemp("page") / "report.html"
    assert write_report(inputs, out) == out.stat().st_size < 10_000_000
    return out


class _Reader(HTMLParser):
    """Notes all that a page would fetch, and whether its elements are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.open: list[str] = []
        self.counts: dict[str, int] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "link", "img", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _read(page: Path) -> _Reader:
    reader = _Reader()
    reader.feed(page.read_text())
    assert reader.open == []
    return reader


def test_page_needs_no_network_and_is_well_formed(page: Path) -> None:
    reader = _read(page)
    assert all(link.startswith(("#", "data:")) for link in reader.links)
    # What users wrote is text, wherever it stands.
    assert reader.counts["script"] == 1
    assert "i" in reader.counts
    assert NAME not in page.read_text()


def test_page_shows_the_views_that_choices_are_made_by_alone(page: Path) -> None:
    text = page.read_text()
    assert re.findall(r"<h3>View (\d+)", text) == ["1"]
    assert _read(page).counts["input"] == 3
    assert "test.json has the scores of the test views" in text
    for label in LABELS:
        assert f"<td>{label}</td>" in text
    assert "view 1: 1.000" in text


def test_page_shows_all_photos_and_every_part(page: Path, scene: SyntheticScene) -> None:
    text = page.read_text()
    for view, name in enumerate(scene.cameras.names):
        assert f'alt="{name}"' in text
        assert f"<figcaption>{view}</figcaption>" in text
    for part in ("reconstruct: loss by", "PSNR of training", "distill: loss by", "DINO", "numpy"):
        assert part in text


def test_same_inputs_same_bytes(inputs: ReportInputs, page: Path, tmp_path: Path) -> None:
    write_report(inputs, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


@pytest.mark.parametrize(
    ("stage", "name", "content"),
    [
        ("evaluate", "metrics.json", "{"),
        ("evaluate", "metrics.json", "{}"),
        ("evaluate", "logits.png", "no picture"),
        ("distill", "loss.csv", "step,total\n1,much\n"),
        ("poses", "overview.png", None),
    ],
)
def test_damaged_outputs_are_told_and_an_earlier_page_stays(
    inputs: ReportInputs, tmp_path: Path, stage: str, name: str, content: str | None
) -> None:
    shutil.copytree(inputs.data, tmp_path / "data")
    file = tmp_path / "data" / stage / NAME / name
    file.unlink()
    if content is not None:
        file.write_text(content)
    page = tmp_path / "report.html"
    page.write_text("earlier")
    with pytest.raises(StoreError, match=rf"{name}: cannot be read .*; run `dvc repro {stage}@"):
        write_report(replace(inputs, data=tmp_path / "data"), page)
    assert page.read_text() == "earlier"


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_browser_shows_the_page_without_an_error(page: Path, tmp_path: Path) -> None:
    assert BROWSER is not None
    broken = tmp_path / "broken.html"
    broken.write_text(page.read_text().replace("document.querySelectorAll", "nothing.at.all"))
    assert _console(page, tmp_path) == []
    assert any("nothing is not defined" in line for line in _console(broken, tmp_path))
    dom = subprocess.run(
        [*_command(tmp_path), "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        check=True,
    )
    assert dom.stdout.count('type="range"') == 3
    shot = tmp_path / "shot.png"
    command = [*_command(tmp_path), "--window-size=1300,900", f"--screenshot={shot}", page.as_uri()]
    subprocess.run(command, capture_output=True, check=True)
    with Image.open(shot) as image:
        assert len(np.unique(np.asarray(image.convert("L")))) > 20


def _command(profile: Path) -> list[str]:
    assert BROWSER is not None
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
    return [BROWSER, *options, f"--user-data-dir={profile / 'profile'}"]


def _console(page: Path, profile: Path) -> list[str]:
    """Return what the browser's console says about a page."""
    command = [*_command(profile), "--enable-logging=stderr", "--dump-dom", page.as_uri()]
    environment: Mapping[str, str] = {**os.environ, "HOME": str(profile)}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment, timeout=120
    )
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_curves_are_pictures_with_their_title() -> None:
    for x, lines in (([], {}), ([0, 10], {"a": [2.0, 1.0]}), ([5], {"a": [1.0], "b": [2.0]})):
        assert re.fullmatch(
            r'<img alt="a &lt; b" src="data:image/svg\+xml;base64,[\w+/=]+">',
            curves("a < b", x, lines),
        )


def test_tables_and_sliders_escape_what_they_show() -> None:
    assert "<td>&lt;b&gt;</td>" in table(("x",), [("<b>",)])
    assert "a&amp;b" in slider("", "", ("a&b", "c"))


def test_parameters_are_those_of_the_scene(page: Path) -> None:
    assert "seed: 0" in page.read_text()
