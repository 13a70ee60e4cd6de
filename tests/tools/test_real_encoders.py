"""The encoders for photographs: parts that need no downloaded package."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from scipy.sparse import csr_matrix
from torch.nn.functional import normalize

from ovs3d.photos.labels import Label
from tools.real_encoders.clip import DIM, configuration
from tools.real_encoders.measure import judge
from tools.real_encoders.phrases import Phrase, make_phrases
from tools.real_encoders.surfaces import Surface, _read_pattern, draw_views, surface_directions
from tools.real_encoders.tower import WIDTH, _ridge, fill_text_tower, fit_tokens
from tools.real_encoders.wordnet import WordNet, read_wordnet

NOUNS = """\
  a licence, indented
00000001 03 n 01 entity 0 000 | what is
00000002 06 n 01 artifact 0 001 @ 00000001 n 0000 | what is made
00000003 06 n 02 cup 0 drinking_cup 0 001 @ 00000002 n 0000 | to drink from
00000004 06 n 01 fork 0 001 @ 00000002 n 0000 | to eat with
00000005 06 n 01 beaker 0 001 @ 00000003 n 0000 | a cup
"""


class SmallWordNet(WordNet):
    """Two classes: cup and fork."""

    classes = [3, 4]  # noqa: RUF012


def small_wordnet() -> WordNet:
    return SmallWordNet(
        lemmas={
            1: ["entity"],
            2: ["artifact"],
            3: ["cup", "drinking_cup"],
            4: ["fork"],
            5: ["beaker"],
        },
        parents={1: [], 2: [1], 3: [2], 4: [2], 5: [3]},
        files={1: 3, 2: 6, 3: 6, 4: 6, 5: 6},
        senses={
            "entity": [1],
            "artifact": [2],
            "cup": [3],
            "drinking cup": [3],
            "fork": [4],
            "beaker": [5],
        },
        frequency={"beaker": 1},
        adjectives=["old", "new"],
    )


def test_wordnet_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "data.noun").write_text(NOUNS)
    (tmp_path / "index.noun").write_text("  licence\ndrinking_cup n 1 1 @ 1 0 00000003\n")
    (tmp_path / "index.adj").write_text("old a 2 0 2 1 00000007 00000008\nodd a 1 0 1 0 00000009\n")
    (tmp_path / "cntlist.rev").write_text("drinking_cup%1:06:00:: 1 7\nold%3:00:01:: 1 5\n")
    found = read_wordnet(tmp_path)
    assert found.lemmas[3] == ["cup", "drinking_cup"]
    assert (found.parents[3], found.files[3]) == ([2], 6)
    assert found.senses == {"drinking cup": [3]}
    assert dict(found.frequency) == {"drinking cup": 7}
    # Tagged texts use the first of the two only.
    assert found.adjectives == ["old"]


def test_phrases_mean_the_classes_at_or_below_them() -> None:
    wordnet = small_wordnet()
    assert wordnet.below == {3: {0}, 4: {1}, 2: {0, 1}, 1: {0, 1}}
    assert wordnet.nearest(5) == ({0}, 1)
    directions = torch.eye(2)
    seen = {"cloth": torch.tensor([0.6, 0.8]), "tableware": torch.tensor([1.0, 0.0])}
    found = {
        each.text: each for each in make_phrases(wordnet, directions, {"tableware": [1]}, seen)
    }
    both = torch.tensor([0.5, 0.5]).sqrt()
    expected = {
        "cup": directions[0],
        "drinking cup": directions[0],
        "fork": directions[1],
        "artifact": both,
        # Listed, though no noun of WordNet here, and seen as a surface.
        "tableware": both,
        "cloth": seen["cloth"],
        # Below no class: what is nearest to it stands for it.
        "beaker": directions[0],
    }
    # "entity" is too general to look for.
    assert found.keys() == expected.keys()
    for text, direction in expected.items():
        torch.testing.assert_close(found[text].direction, direction)
    assert found["cup"].visible
    assert not found["beaker"].visible


def test_phrases_mean_what_views_of_surfaces_show() -> None:
    red, blue = (Image.new("RGB", (90, 60), colour) for colour in ("red", "blue"))
    surfaces = {"a": Surface([red], ["paint", "both"]), "b": Surface([blue], ["both"])}

    def embed(squares: torch.Tensor) -> torch.Tensor:
        return (squares.mean((2, 3)) > 40).float()

    found = surface_directions(surfaces, embed, 32)
    torch.testing.assert_close(found["paint"], torch.tensor([1.0, 0.0, 0.0]))
    torch.testing.assert_close(found["both"], torch.tensor([0.5, 0.0, 0.5]).sqrt())


def test_views_of_a_surface_differ_and_are_drawn_by_the_seed() -> None:
    pattern = Image.effect_noise((64, 48), 60).convert("RGB")
    for pictures, count in (([pattern], 64), ([], 128)):
        views = draw_views(pictures, 24, np.random.default_rng(0))
        assert views.shape == (count, 24, 24, 3)
        assert len({view.tobytes() for view in views}) == count
        np.testing.assert_array_equal(views, draw_views(pictures, 24, np.random.default_rng(0)))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_patterns_of_gimp_are_read(tmp_path: Path, channels: int) -> None:
    pixels = np.arange(2 * 3 * channels, dtype=np.uint8).reshape(2, 3, channels)
    header = struct.pack(">6I", 29, 1, 3, 2, channels, 0x47504154) + b"name\0"
    (tmp_path / "some.pat").write_bytes(header + pixels.tobytes())
    found = np.asarray(_read_pattern(tmp_path / "some.pat"))
    np.testing.assert_array_equal(found, np.broadcast_to(pixels[..., :3], (2, 3, 3)))


def test_ridge_solves_the_normal_equations() -> None:
    rng = np.random.default_rng(0)
    counts = csr_matrix(rng.integers(0, 2, (30, 8)).astype(float))
    weights, targets = rng.uniform(0.5, 2, 30), rng.normal(size=(30, 5))
    dense = counts.toarray()
    gram = dense.T @ (weights[:, None] * dense) + 0.05 * np.eye(8)
    expected = np.linalg.solve(gram, dense.T @ (weights[:, None] * targets))
    np.testing.assert_allclose(_ridge(counts, weights, targets), expected, atol=1e-3)


def test_the_text_tower_gives_a_phrase_its_direction() -> None:
    generator = torch.Generator().manual_seed(0)
    directions = normalize(torch.randn(WIDTH, DIM, generator=generator), dim=1)
    words = ["cup", "fork", "table", "wall", "mirror", "shield"]
    phrases = [
        Phrase(words[number] if number < len(words) else f"word{number}", direction, 2.0)
        for number, direction in enumerate(directions)
    ]
    model = open_clip.CustomTextCLIP(**configuration()).eval()
    fill_text_tower(model.text, *fit_tokens(phrases, ["old", "new", "bent"], seed=0))
    tokenizer = open_clip.SimpleTokenizer(context_length=32)
    with torch.no_grad():
        found = normalize(model.encode_text(tokenizer(words)), dim=1)
        spoken = normalize(
            model.encode_text(tokenizer([f"a photo of a {w}" for w in words])), dim=1
        )
    cosines = found @ directions[: len(words)].T
    assert (cosines.argmax(1) == torch.arange(len(words))).all()
    assert cosines.diagonal().min() > 0.9
    assert (spoken @ directions[: len(words)].T).diagonal().min() > 0.8


class ColourEncoder:
    """Knows a window by its mean colour."""

    def encode_text(self, labels: tuple[Label, ...], _: tuple[str, ...]) -> torch.Tensor:
        known = {"red": (1.0, 0.0, 0.0), "blue": (0.0, 0.0, 1.0)}
        return torch.tensor([known[label.name] for label in labels])

    def encode_windows(self, photo: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        means = [photo[u:b, le:r].float().mean((0, 1)) for le, u, r, b in boxes.tolist()]
        return normalize(torch.stack(means), dim=1)


def test_points_are_judged_by_the_windows_around_them() -> None:
    pixels = np.zeros((60, 90, 3), np.uint8)
    pixels[:, :45, 0] = pixels[:, 45:, 2] = 200
    points = {"red": [(0.1, 0.5), (0.9, 0.5)], "blue": [(1.0, 1.0)]}
    encoder: Any = ColourEncoder()
    right = judge(encoder, Image.fromarray(pixels), points, [3, 5])
    assert right == {"red": [True, False], "blue": [True]}
