"""What a user expects of each case: taken, refused with words, and with which values."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pycolmap
import yaml
from PIL import Image

from ovs3d.photos.dataset import load_photo, load_seen, open_photos
from ovs3d.photos.labels import label_names, read_labels
from ovs3d.photos.masks import read_masks, unpack_masks
from tests.closure import ROOT
from tests.inputs.run import Ended

Outcome = Literal["taken", "refused", "either"]
Check = Callable[[Path, Path], str | None]
"""Looks at the case and at the scene made of it; returns what is wrong, or nothing."""
_MASKED = {1: "02", 3: "08", 5: "14", 7: "20", 9: "26"}
_ERASED = (255, 0, 255)


@dataclass(frozen=True)
class Expected:
    """What is right.

    Attributes:
        outcome: of all commands together; refused means: one of them, in one line, with code 2.
        words: a pattern that the output holds, upper and lower case being equal.
        without: a pattern that it does not hold.
        check: of values, where the case is taken.
    """

    outcome: Outcome
    words: str = ""
    without: str = ""
    check: Check | None = None


def judge(expected: Expected, ended: Sequence[Ended], case: Path, scene: Path) -> str | None:
    """Return what is wrong with how a case ended, or nothing."""
    text = "\n".join(part for one in ended for part in (one.out, one.err))
    if "Traceback" in text:
        return "a traceback"
    failed = [one for one in ended if one.code]
    if failed and (failed[0].code != 2 or len(_told(failed[0])) != 1):
        return f"code {failed[0].code}, {len(_told(failed[0]))} lines: {failed[0].last_line}"
    outcome = "refused" if failed else "taken"
    if expected.outcome not in (outcome, "either"):
        return f"{outcome}: {(failed or ended)[-1].last_line}"
    if expected.words and not re.search(expected.words, text, re.IGNORECASE):
        return f"{outcome} without the words '{expected.words}': {(failed or ended)[-1].last_line}"
    if expected.without and (found := re.search(expected.without, text, re.IGNORECASE)):
        return f"says '{found[0]}'"
    return expected.check(case, scene) if expected.check and not failed else None


def _told(ended: Ended) -> list[str]:
    """Return the lines on stderr that are no progress."""
    lines = re.split(r"[\n\r]", ended.err)
    return [line for line in lines if re.match(r"(ovs3d|stages|poses)[\w. -]*: |Error", line)]


def _photos(count: int, size: tuple[int, int] = (320, 240)) -> Check:
    def check(_: Path, scene: Path) -> str | None:
        photos = open_photos(scene / "images")
        found = (len(photos), photos.width, photos.height)
        return None if found == (count, *size) else f"photos: {found}"

    return check


def _mean_color(expected: tuple[int, ...]) -> Check:
    def check(_: Path, scene: Path) -> str | None:
        first = open_photos(scene / "images").paths[0]
        mean = load_photo(first, 1).float().mean(dim=(0, 1)).numpy()
        return None if np.abs(mean - expected).max() < 4 else f"mean colour {mean.round()}"

    return check


def _masks(_: Path, scene: Path) -> str | None:
    """Compare with the masks of the demo, pixel by pixel."""
    segmentations = scene / "segmentations"
    labels = label_names(read_labels(segmentations / "classes.txt"))
    photos = open_photos(scene / "images")
    found = read_masks(segmentations, labels, photos)
    if set(found) != set(_MASKED):
        return f"views with masks: {sorted(found)}"
    for view, source in _MASKED.items():
        masks = unpack_masks(found[view], len(labels))
        for mask, label in zip(masks, labels, strict=True):
            path = ROOT / f"data/raw/demo/segmentations/{source}/{label}.png"
            expected = np.zeros_like(mask)
            if path.exists():
                with Image.open(path) as file:
                    small = file.convert("L").resize((photos.width, photos.height), 0)
                expected = np.asarray(small) > 127
            if (mask != expected).any():
                return f"view {view}, {label}: {mask.mean():.3f} instead of {expected.mean():.3f}"
    return None


def _erased_unseen(_: Path, scene: Path) -> str | None:
    """No pixel that was erased is trained on, and its colour shows nowhere."""
    for path in open_photos(scene / "images").paths:
        photo, seen = load_photo(path, 1).int(), load_seen(path, 1)
        erased = (photo - photo.new_tensor(_ERASED)).abs().max(dim=-1).values < 30
        if seen is None or not 0.8 < float(seen.float().mean()) < 0.99:
            return f"{path.name}: no pixel is left out, or too many"
        if (erased & seen).float().mean() > 0.002:
            return f"{path.name}: erased pixels are trained on"
    return None


def _cut_out(_: Path, scene: Path) -> str | None:
    seen = load_seen(open_photos(scene / "images").paths[0], 1)
    share = 1.0 if seen is None else float(seen.float().mean())
    return None if 0.3 < share < 0.45 else f"share that is trained on: {share:.2f}"


def _poses(count: int, points: int = 0) -> Check:
    def check(_: Path, scene: Path) -> str | None:
        model = pycolmap.Reconstruction(scene / "images/poses")
        found = (model.num_reg_images(), model.num_points3D())
        return None if found[0] == count and found[1] >= points else f"poses, points: {found}"

    return check


def _given_poses_stay(case: Path, scene: Path) -> str | None:
    return _poses(12)(case, scene)


def _test_views(expected: list[int]) -> Check:
    def check(_: Path, scene: Path) -> str | None:
        params: Any = yaml.safe_load((scene.parents[2] / "params.yaml").read_text())
        found = params["scenes"][scene.name]["test_views"]
        return None if found == expected else f"test_views: {found}"

    return check


def _labels(count: int) -> Check:
    def check(_: Path, scene: Path) -> str | None:
        found = len(read_labels(scene / "segmentations/classes.txt"))
        return None if found == count else f"{found} labels"

    return check


def _writable(_: Path, scene: Path) -> str | None:
    folders = [path for path in (scene, *scene.rglob("*")) if path.is_dir()]
    bad = [path for path in folders if not path.stat().st_mode & 0o200]
    left = [path.name for path in scene.parent.iterdir() if path.name.endswith(".tmp")]
    return f"cannot be written: {bad}; left over: {left}" if bad or left else None


def _short_name(_: Path, scene: Path) -> str | None:
    names = [path.name for path in (scene.parents[1] / "query/demo").glob("red_fruit*")]
    return None if names and max(map(len, names)) < 120 else f"pictures: {names}"


def _frames_posed(case: Path, scene: Path) -> str | None:
    frames = json.loads((case / "transforms.json").read_text())["frames"]
    posed = sum("transform_matrix" in frame for frame in frames)
    return _poses(posed)(case, scene)


_WRONG_AXES = r"opencv|opengl"
_INVERTED = r"world.to.camera|camera.to.world|inverse|w2c"
_MOVED = r"shifted by 1|(do(es)? not|dis)\s?(fit|agree|match)"

EXPECTED: dict[str, Expected] = {
    # Controls.
    "ok-demo": Expected("taken", check=_poses(12)),
    "ok-orbit": Expected("taken", check=_poses(16)),
    "ok-few-noisy": Expected("taken", check=_poses(5)),
    "colmap-ok": Expected("taken", check=_poses(12)),
    "masks-ok": Expected("taken", check=_masks),
    "video-ok-bt709": Expected("taken", check=_mean_color((149, 113, 91))),
    # Poses.
    "poses-opencv-demo": Expected("either", _WRONG_AXES),
    "poses-opencv-orbit": Expected("either", _WRONG_AXES),
    "poses-w2c-demo": Expected("either", _INVERTED),
    "poses-w2c-orbit": Expected("either", _INVERTED),
    "poses-w2c-orbit-many": Expected("either", _INVERTED),
    "poses-w2c-opencv-orbit": Expected("either", f"{_INVERTED}|{_WRONG_AXES}"),
    "poses-shifted-demo": Expected("either", _MOVED),
    "poses-shifted-orbit": Expected("either", _MOVED),
    "poses-shifted-half": Expected("either", _MOVED),
    "poses-c2w-in-colmap": Expected("either", _INVERTED),
    "poses-focal-of-full-size": Expected("either", r"focal|principal|intrinsics|fl_x"),
    # Photos that say more than their pixels.
    "rgba-erased": Expected("taken", "alpha", check=_erased_unseen),
    "rgba-cut-out": Expected("taken", "alpha", check=_cut_out),
    "masks-in-alpha": Expected("taken", check=_masks),
    "masks-16-bit": Expected("taken", check=_masks),
    "video-anamorphic": Expected("taken", check=_photos(6)),
    "video-hlg": Expected("taken", check=_mean_color((149, 113, 91))),
    "heic-named-jpg": Expected("taken", "12, 320 x 240"),
    "png-named-jpg": Expected("taken", "12, 320 x 240"),
    "webp-named-jpg": Expected("taken", "12, 320 x 240"),
    # Cameras.
    "camera-equirectangular": Expected("refused", "EQUIRECTANGULAR"),
    "camera-latlong-ngp": Expected("refused", "latlong|EQUIRECTANGULAR"),
    "camera-ftheta-ngp": Expected("either", "ftheta|redrawn"),
    "camera-fisheye-ngp": Expected("taken", "redrawn"),
    "camera-per-frame": Expected("refused", r"EQUIRECTANGULAR"),
    "camera-orthographic-ngp": Expected("refused", "orthographic"),
    # Files that are not photos.
    "apple-double": Expected("taken", without=r"\._000", check=_photos(12)),
    "apple-double-masks": Expected("taken", without=r"\._000", check=_masks),
    "photos-other-types": Expected("taken", r"\.dng", check=_photos(9)),
    "photos-all-webp": Expected("taken", "12, 320 x 240"),
    "photos-all-links-broken": Expected("refused", "12 links"),
    "photos-nested": Expected("either", "DCIM/100CANON|12, 320 x 240"),
    "photos-200-mp": Expected("either", "megapixels"),
    "bomb": Expected("refused", r"005a\.png.* megapixels"),
    # Models as tools write them.
    "key-split": Expected("taken", check=_test_views([2, 6, 10])),
    "key-mask-path": Expected("taken", "alpha|mask", check=_erased_unseen),
    "key-ply-file-path": Expected("taken"),
    "frames-without-photo": Expected("taken", "3", check=_poses(9)),
    **dict.fromkeys(
        (
            *("nerf-synthetic", "suffix-case", "unicode-nfd", "path-backslash"),
            *("path-absolute-windows", "path-absolute-unix", "path-other-folder"),
            *("colmap-no-points3d", "colmap-one-line", "colmap-dense-0", "colmap-sparse-flat"),
            *("colmap-3dgs-input", "colmap-3dgs-full", "llff-images-4"),
        ),
        Expected("taken", check=_poses(12)),
    ),
    "colmap-photo-missing": Expected("taken", "3", check=_poses(9)),
    "trailing-comma": Expected("either", "comma|line 35"),
    "matrix-missing": Expected("either", "transform_matrix|004|11, 320 x 240"),
    "matrix-3x3": Expected("refused", r"3, 3|3 x 3"),
    # Words.
    "labels-long": Expected("taken", check=_labels(40)),
    "labels-one-long": Expected("refused", "tokens"),
    "label-slash": Expected("refused", "cannot hold '/'"),
    "query-long": Expected("taken", check=_short_name),
    "query-empty": Expected("refused", "empty text"),
    # Nothing is lost. The second try finds the scene of the first.
    "read-only": Expected("refused", "exists already", check=_writable),
    "self-replace": Expected("refused", "itself"),
}
"""Case -> what is right. Cases that are not here are run, and may do anything but crash."""
STAYS: dict[str, Check] = {"read-only": _writable, "self-replace": _given_poses_stay}
"""What holds for the scene that was there before a command was refused."""
