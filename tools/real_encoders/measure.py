"""Judges the CLIP on photographs of two packages: is the best label at a point what is there?"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import skimage
import torch
import yaml
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from ovs3d.apps.local_encoders import FOLDER
from ovs3d.features.clip import ClipEncoder, load_clip
from ovs3d.photos.labels import named
from tools.real_encoders.packages import fetch_debian

_POINTS = Path(__file__).with_name("points.yaml")
_SCIKIT = Path(skimage.__file__).parent / "data"
_OFFSETS = (-1 / 4, 0.0, 1 / 4)
"""Centres of windows around a point, in sides: features of a pixel are means of several."""

Points = Mapping[str, Sequence[tuple[float, float]]]


def main() -> None:
    """Print the share of points that are labelled right, by photograph and by label."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", type=Path, default=FOLDER / "clip.json")
    parser.add_argument("--cache", type=Path, default=FOLDER / "packages", help="for downloads")
    parser.add_argument("--divisors", type=float, nargs="+", default=[5, 9])
    arguments = parser.parse_args()
    weights = arguments.clip.with_suffix(".safetensors")
    encoder = load_clip(str(arguments.clip), str(weights), torch.device("cpu"))
    documents = fetch_debian("opencv-doc", arguments.cache) / "usr" / "share" / "doc"
    for part, photos in yaml.safe_load(_POINTS.read_text()).items():
        shares = []
        for name, points in photos.items():
            photo = Image.open(next(f / name for f in (_SCIKIT, documents) if (f / name).is_file()))
            right = judge(encoder, photo.convert("RGB"), points, arguments.divisors)
            shares += [share for label in right.values() for share in label]
            text = ", ".join(f"{label} {np.mean(each):.2f}" for label, each in right.items())
            print(f"{Path(name).name}: {text}")
        print(f"{part}: {np.mean(shares):.3f} of {len(shares)} points right")


def judge(
    encoder: ClipEncoder, photo: Image.Image, points: Points, divisors: Sequence[float]
) -> dict[str, list[bool]]:
    """Return for each label whether its points get it, among the labels of this photograph."""
    text = encoder.encode_text([*map(named, points)], ("{}",))
    pixels = torch.from_numpy(np.array(photo))
    return {
        label: [
            int(scores(encoder, pixels, x, y, text, divisors).argmax()) == index for x, y in places
        ]
        for index, (label, places) in enumerate(points.items())
    }


def scores(
    encoder: ClipEncoder, photo: Tensor, x: float, y: float, text: Tensor, divisors: Sequence[float]
) -> Tensor:
    """Return the cosine of every text [C] with windows around a point, mean over sizes."""
    height, width = photo.shape[:2]
    means = []
    for divisor in divisors:
        side = round(min(height, width) / divisor)
        boxes = [
            (left, upper, left + side, upper + side)
            for down in _OFFSETS
            for right in _OFFSETS
            for left in [_inside(x * width + right * side, side, width)]
            for upper in [_inside(y * height + down * side, side, height)]
        ]
        vectors = encoder.encode_windows(photo, torch.tensor(boxes))
        means.append(normalize(vectors.mean(0), dim=0) @ text.T)
    return torch.stack(means).mean(0)


def _inside(centre: float, side: int, length: int) -> int:
    return round(min(max(centre - side / 2, 0), length - side))


if __name__ == "__main__":
    main()
