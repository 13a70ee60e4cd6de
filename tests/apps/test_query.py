"""`ovs3d query`: what it says, the pictures it draws and what they are called."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ovs3d.apps import cli
from ovs3d.apps.query import file_name, query_figure, split_negatives, verdict
from ovs3d.errors import QueryError
from ovs3d.language.views import PointView
from ovs3d.language.volume import Finding
from tests.project import SCENE

H, W = 40, 240


def finding(found: bool = True, known: bool = True, text: str = "fruit") -> Finding:
    """Return what found the first of two points."""
    mask = torch.tensor([found, False])
    place = torch.tensor([0.1, 0.2, 1.5])
    return Finding(text, found, known, 0.97, place, mask, torch.tensor([1.0, 0.0]))


def view() -> PointView:
    """Return a view whose upper half sees the first point, and whose lower half the second."""
    rows = torch.arange(H * W) // (H * W // 2)
    everything = torch.ones(H * W)
    return PointView(
        torch.full((H, W, 3), 0.8),
        torch.ones(H, W, dtype=torch.bool),
        rows,
        everything,
        torch.arange(H * W + 1),
    )


def test_negatives_are_told_by_their_first_word_or_the_option() -> None:
    words = ["red ball", "not yellow ball", "notebook", " not  pear"]
    assert split_negatives(words, ["mug"]) == (
        ["red ball", "notebook"],
        ["yellow ball", "pear", "mug"],
    )
    with pytest.raises(QueryError, match="only negatives"):
        split_negatives(["not a ball"], [])


@pytest.mark.parametrize(
    ("text", "name"),
    [("red apple", "red_apple"), ("stapler", "stapler")],
)
def test_plain_texts_name_their_files(text: str, name: str) -> None:
    assert file_name(text) == name


@pytest.mark.parametrize(
    "text", ["../../etc/passwd", "a" * 10_000, "🍎", "red_apple", "CON:|?*", "Äpfel"]
)
def test_other_texts_get_short_safe_names_of_their_own(text: str) -> None:
    name = file_name(text)
    assert name.isascii()
    assert name.replace("_", "a").isalnum()
    assert 8 <= len(name) <= 40
    assert name not in (file_name(f"{text}!"), "red_apple")


def test_a_figure_shows_what_fits_and_dims_the_rest() -> None:
    figure = np.asarray(query_figure(view(), finding(), "view 0"))
    last = figure[-H:, -W:]
    assert (last[: H // 2] == 204).all()
    assert (last[H // 2 :] == 51).all()
    heat = figure[-H:, W + 8 : 2 * W + 8]
    assert heat[0, 0].tolist() == [253, 231, 37]
    assert heat[-1, 0].tolist() == [68, 1, 84]
    nothing = np.asarray(query_figure(view(), finding(found=False), "view 0"))
    assert (nothing[-H:, -W:] == 51).all()


def test_a_verdict_is_one_line() -> None:
    assert verdict(finding()) == "'fruit' found (0.97) at 0.10, 0.20, 1.50, on 50.0% of the surface"
    assert "not found (best place 0.97, needs 0.95)" in verdict(finding(found=False))
    assert "does not seem to know" in verdict(finding(found=False, known=False))
    assert len(verdict(finding(text="fruit " * 1000))) < 150


def test_a_scene_that_is_not_lifted_is_told(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert project.is_dir()
    assert cli.main(["query", "demo", "red apple"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "dvc repro lift@demo" in told


def test_a_built_scene_answers(
    built_project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(built_project)
    out = tmp_path / "pictures"
    words = ["red toy car", "wall", "--not", "green star"]
    assert cli.main(["query", SCENE, *words, "--views", "2", "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["red_toy_car.png", "wall.png"]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("'")[1] for line in lines] == ["red toy car", "wall"]
    for words, told in ((["  "], "empty text"), (["wall " * 3000], "fewer words")):
        assert cli.main(["query", SCENE, *words]) == 2
        error = capsys.readouterr().err
        assert told in error
        assert error.count("\n") == 1
        assert len(error) < 200
