"""Two balls before the cameras, a red and a blue one, and a CLIP that knows just them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from ovs3d.features.clip import ClipEncoder
from ovs3d.field.model import Field
from ovs3d.language.lift import LiftInputs
from ovs3d.language.params import LiftParams
from ovs3d.photos.dataset import open_photos
from ovs3d.photos.labels import Label
from ovs3d.space.cameras import Cameras, pixel_centres
from ovs3d.space.space import Space
from tests.field.builders import balls
from tests.synthetic import make_scene

VIEWS = (0, 1, 3, 4)
CENTRES = ((-0.5, 0.1, 2.2), (0.5, 0.0, 2.5))
RADIUS = 0.4
DIM, SCALES = 64, 2
WORDS = ("red ball", "blue ball", "sky", *(f"animal {letter}" for letter in "abcdefghijklmnopqrst"))
"""Texts that the encoder knows; balls and sky are what pixels show."""
SPACE = Space("bounded", (-1.5, -1.2, 1.3), (1.5, 1.2, 3.2), (1.0, 1.0), (3.0, 2.4, 1.9), 0.5)


def vectors(texts: Sequence[str]) -> Tensor:
    """Return unit vectors [n, DIM] of known words; of others, what their letters happen to give."""
    rows = []
    for text in texts:
        word = next((word for word in WORDS if word in text), None)
        seed = WORDS.index(word) if word else sum(map(ord, text)) + 100
        rows.append(torch.randn(DIM, generator=torch.Generator().manual_seed(seed)))
    return normalize(torch.stack(rows), dim=1)


class Encoder:
    """Stands for a CLIP model."""

    digest = "fake"

    class tokenizer:  # noqa: N801
        """Letters are tokens."""

        context_length = 30

        @staticmethod
        def encode(text: str) -> list[int]:
            """Return a number for each letter."""
            return [ord(letter) for letter in text]

    def encode_text(self, labels: Sequence[Label], templates: Sequence[str]) -> Tensor:
        """Return [T, DIM] unit vectors."""
        (template,) = templates
        return vectors([template.replace("{}", label.name) for label in labels])


class Windows:
    """Stands for the window store: a pixel's feature is that of the ball it shows, or of the sky.

    The second scale says the same, blurred. It can be told to fail when it is read for the n-th
    time, as if the process had been killed.
    """

    views = tuple(range(6))
    dim, scales = DIM, SCALES
    encoder_digest = "fake"
    fingerprint = "windows"
    path = Path("clip.zarr")

    def __init__(self, cameras: Cameras, downscale: int) -> None:
        self.cameras, self.downscale = cameras, downscale
        self.fail_at: int | None = None
        self.reads = 0

    def cells(self, xy: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows and columns of photo points."""
        columns, rows = (xy / self.downscale).long().unbind(1)
        return rows, columns

    def load(self, views: Sequence[int], device: Any, sigma: float | None = None) -> "Windows":  # noqa: ARG002
        """Return itself."""
        self.reads += 1
        if self.reads == self.fail_at:
            raise KeyboardInterrupt
        return self

    def gather(self, views: Tensor, ys: Tensor, xs: Tensor) -> Tensor:
        """Return [N, 2, DIM], of any length."""
        xy = (torch.stack((xs, ys), dim=1) + 0.5) * self.downscale
        origins, directions = self.cameras.rays(int(views[0]), xy)
        which = nearest_ball(origins, directions)
        sharp = vectors(WORDS[:3])[which]
        return torch.stack((3 * sharp, sharp + 0.2 * vectors(["sky"])), dim=1)


def nearest_ball(origins: Tensor, directions: Tensor) -> Tensor:
    """Return which ball rays [R, 3] meet first, 2 for none."""
    depths = [torch.full_like(origins[:, 0], torch.inf)] * 3
    for index, centre in enumerate(CENTRES):
        unit = normalize(directions, dim=1)
        offset = torch.tensor(centre) - origins
        along = (offset * unit).sum(1)
        aside = offset.square().sum(1) - along.square()
        hit = aside < RADIUS**2
        depths[index] = torch.where(hit, along, torch.inf)
    depths[2] = torch.full_like(depths[2], 1e6)
    return torch.stack(depths).argmin(0)


def make_inputs(folder: Path) -> LiftInputs:
    """Return the balls, grey photos of them, cameras that sweep past and features of pixels."""
    cameras = make_scene().cameras
    folder.mkdir(parents=True)
    for name in cameras.names:
        Image.new("RGB", (cameras.width, cameras.height), (90, 120, 150)).save(folder / name)
    field = solid()
    return LiftInputs(field, open_photos(folder), cameras, VIEWS, Windows(cameras, 2))  # type: ignore[arg-type]


def solid() -> Field:
    """Return the field of the balls."""
    field = balls(SPACE, (60, 48, 38), *((*centre, RADIUS) for centre in CENTRES))
    field.update_occupancy()
    return field


def lift_params(**changes: Any) -> LiftParams:
    """Return parameters that suit the balls."""
    values: dict[str, Any] = {
        "downscale": 2,
        "points": 10**6,
        "cosine": 0.99,
        "window_sigma": None,
        "templates": ("{}",),
        "nouns": "nouns.txt",
    }
    return LiftParams(**{**values, **changes})


def pixels(cameras: Cameras, downscale: int) -> Tensor:
    """Return the pixel centres of a view."""
    return pixel_centres(cameras.width, cameras.height, downscale)


def as_encoder() -> ClipEncoder:
    """Return the stand-in as what it stands for."""
    return Encoder()  # type: ignore[return-value]
