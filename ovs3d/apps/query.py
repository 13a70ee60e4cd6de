"""`ovs3d query`: look for any words in a scene, as soon as it is lifted; no labels, no training."""

import argparse
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ovs3d.apps.labels import VIEWS
from ovs3d.device import resolve_device
from ovs3d.errors import QueryError
from ovs3d.evaluation.drawing import framed, panel, row, save_png, scale_bar, stack
from ovs3d.evaluation.palette import viridis
from ovs3d.field.checkpoint import load_field
from ovs3d.language.presence import FOUND
from ovs3d.language.store import NAME
from ovs3d.language.views import PointView, point_view
from ovs3d.language.volume import Finding, LanguageVolume
from ovs3d.language.words import clean, shorten
from ovs3d.params import SceneParams, load_scene_params
from ovs3d.photos.views import spread_out
from ovs3d.progress import plain_console
from ovs3d.project import PARAMS_FILE, built, check_views
from ovs3d.space.cameras import Cameras, load_cameras

_NAME_LENGTH = 40
"""Characters of a file's name that come from the text."""
_DIMMED = 0.25
"""Brightness of what a text does not fit, where its points are shown."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `ovs3d query`."""
    parser.add_argument("name", help="a key of `scenes` in params.yaml")
    parser.add_argument(
        "words", nargs="+", help="what to look for, each text in quotes; 'not ...': as --not"
    )
    parser.add_argument(
        "--not",
        dest="negatives",
        nargs="+",
        default=[],
        metavar="WORDS",
        help="what none of the texts is",
    )
    parser.add_argument(
        "--views",
        type=int,
        nargs="+",
        help="photos by position; if not given, the validation views, or the test views",
    )
    parser.add_argument(
        "--out", type=Path, help="folder of the pictures; data/query/NAME if not given"
    )


def run(arguments: argparse.Namespace) -> int:
    """Tell for each text whether it is in the scene and where, draw it, return 0.

    Raises:
        QueryError: a text is empty or too long, or there are only negatives.
        SceneError: a view has no pose.
        StoreError: the scene is not lifted.
    """
    name = arguments.name
    texts, negatives = split_negatives(arguments.words, arguments.negatives)
    params = load_scene_params(PARAMS_FILE, name)
    device = resolve_device(params.device)
    volume = LanguageVolume.open(built("lift", name, NAME).parent, device=device)
    cameras = load_cameras(built("poses", name, "cameras.json"))
    views = _views(arguments.views, params, cameras, name)
    findings = volume.find(texts, negatives)
    field = load_field(built("reconstruct", name, "field.safetensors"), device)
    downscale = params.stages.evaluate.downscale
    seen = {view: point_view(volume, field, cameras, view, downscale) for view in views}
    folder = arguments.out or Path("data/query") / name
    console = plain_console()
    for finding in findings:
        out = folder / f"{file_name(finding.text)}.png"
        figures = [query_figure(seen[view], finding, f"view {view}") for view in views]
        save_png(framed(stack([*figures, scale_bar(0.0, 1.0, figures[0].width)])), out)
        console.print(f"{verdict(finding)}: {out}", soft_wrap=True)
    return 0


def split_negatives(words: Sequence[str], negatives: Sequence[str]) -> tuple[list[str], list[str]]:
    """Sort texts that begin with "not" from the others.

    Args:
        words: texts, negatives among them.
        negatives: more of those, without the "not".

    Returns:
        Texts to look for, and what they are not.

    Raises:
        QueryError: there is nothing to look for.
    """
    words, negatives = [clean(word) for word in words], [clean(word) for word in negatives]
    denied = [word for word in words if word.split()[:1] == ["not"]]
    texts = [word for word in words if word not in denied]
    if not texts:
        raise QueryError("only negatives; say what to look for as well")
    return texts, [*(word.split(maxsplit=1)[-1] for word in denied), *negatives]


def file_name(text: str) -> str:
    """Return a short name of plain letters for a text; texts that it cannot tell get a digest."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")
    if plain.replace("_", " ") == text and len(plain) <= _NAME_LENGTH:
        return plain
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{plain[: _NAME_LENGTH - len(digest) - 1]}_{digest}".lstrip("_")


def query_figure(view: PointView, finding: Finding, title: str) -> Image.Image:
    """Draw a rendered view, the relevancy of a text, and what of the view fits it."""
    relevancy, mask = view.draw(torch.stack((finding.relevancy, finding.mask.float())))
    picture = _eight_bits(view.colour.cpu().numpy())
    # Most of what the pixel sees.
    fits = (mask.cpu().numpy() >= 0.5)[..., None]
    shown = np.where(fits, picture, _eight_bits((view.colour * _DIMMED).cpu().numpy()))
    heat = viridis(np.where(view.solid.cpu().numpy(), relevancy.cpu().numpy(), 0.0))
    name = shorten(finding.text)
    panels = [
        panel(picture, title),
        panel(heat, f"{name}: relevancy"),
        panel(shown, name if finding.found else f"{name}: not found"),
    ]
    return row(panels)


def verdict(finding: Finding) -> str:
    """Tell in a line whether a text was found, and where."""
    name = f"'{shorten(finding.text)}'"
    if not finding.known:
        return f"{name} not found: the CLIP model does not seem to know these words"
    if not finding.found:
        return f"{name} not found (best place {finding.score:.2f}, needs {FOUND:.2f})"
    place = ", ".join(f"{value:.2f}" for value in finding.peak.tolist())
    share = float(finding.mask.float().mean())
    return f"{name} found ({finding.score:.2f}) at {place}, on {share:.1%} of the surface"


def _views(
    asked: Sequence[int] | None, params: SceneParams, cameras: Cameras, scene: str
) -> list[int]:
    held_out = params.val_views or params.test_views
    views = list(asked or [view for view in held_out if view in cameras.views])
    views = views or spread_out(cameras.views, VIEWS)
    check_views(views, cameras.views, scene)
    return views


def _eight_bits(colour: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(np.rint(colour * 255), dtype=np.uint8)
