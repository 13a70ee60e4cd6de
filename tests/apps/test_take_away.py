"""`ovs3d export` and `ovs3d render` as a user calls them: what they refuse, in one line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ovs3d.apps.cli import main
from tests.project import SCENE


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["export", "demo"], "not built yet; run `dvc repro"),
        (["export", "dem"], "did you mean 'demo'?"),
        (["render", "demo"], "not built yet; run `dvc repro"),
        (["render", "demo", "--show", "relevancy"], "of what? add --words"),
        (["render", "demo", "--words", "cup"], "add --show relevancy"),
        (["render", "demo", "--frames", "0"], "expected at least 1"),
        (["render", "demo", "--views", "1", "--cameras", "orbit"], "leave out --cameras"),
        (["render", "demo", "--out", "params.yaml/x"], "cannot be written"),
    ],
)
def test_mistakes_are_one_line(
    project: Path, capsys: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    assert main(words) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith(f"ovs3d {words[0]}: ")
    assert line in told[0]
    assert not (project / "data" / "export").exists()


def test_relevancy_of_words_is_rendered_beside_the_colours(
    built_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(built_project)
    words = ["--show", "color", "relevancy", "--words", "wall", "--views", "2", "--downscale", "4"]
    assert main(["render", SCENE, *words, "--out", str(tmp_path)]) == 0
    with Image.open(tmp_path / "002.png") as picture:
        color, relevancy = np.split(np.asarray(picture), 2, axis=1)
    assert color.shape == relevancy.shape == (45, 60, 3)
    assert not np.array_equal(color, relevancy)
