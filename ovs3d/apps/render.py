"""`ovs3d render`: pictures or a video of a segmented scene from any cameras."""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ovs3d.apps.segmented import open_segmented
from ovs3d.errors import SceneError
from ovs3d.evaluation.drawing import save_png
from ovs3d.evaluation.segment import segment_view
from ovs3d.exports.camera_paths import orbit, read_path
from ovs3d.exports.coordinates import FRAMES, find_frame
from ovs3d.exports.flight import fly_through, write_video
from ovs3d.exports.stills import KINDS, Look, picture
from ovs3d.exports.target import make_folder
from ovs3d.exports.write import SegmentedScene
from ovs3d.field.checkpoint import load_field
from ovs3d.language.store import NAME
from ovs3d.params import load_scene_params
from ovs3d.progress import progress, summary_table
from ovs3d.project import PARAMS_FILE, built, check_views
from ovs3d.space.cameras import Cameras

_VIDEO = ".mp4"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `ovs3d render`."""
    parser.add_argument("name", help="a key of `scenes` in params.yaml")
    parser.add_argument(
        "--cameras",
        default="photos",
        help="photos (their own poses), flight (a loop among them), orbit (a circle around what "
        "they look at), a file like transforms.json, or a folder with a COLMAP model",
    )
    parser.add_argument("--views", type=int, nargs="+", help="photos by position; all if not given")
    parser.add_argument("--frames", type=int, help="of a flight or orbit; render.frames otherwise")
    parser.add_argument(
        "--frame",
        metavar="{" + ",".join(FRAMES) + "}",
        help="of the cameras in a file or model; as for `ovs3d export` if not given",
    )
    parser.add_argument(
        "--show", nargs="+", choices=KINDS, default=["color"], help="side by side, in this order"
    )
    parser.add_argument("--words", help="what relevancy is of, in quotes")
    parser.add_argument("--downscale", type=int, help="of the photos; render.downscale otherwise")
    parser.add_argument(
        "--out",
        type=Path,
        help="an .mp4 file, or a folder for PNGs; data/renderings/NAME if not given",
    )


def run(arguments: argparse.Namespace) -> int:
    """Render, return 0.

    Raises:
        Ovs3dError: scene, view or frame is unknown, cameras cannot be read, words are missing, or
            the output cannot be written.
    """
    _check(arguments)
    params = load_scene_params(PARAMS_FILE, arguments.name)
    out: Path = arguments.out or Path("data/renderings", arguments.name)
    make_folder(out.parent if out.suffix == _VIDEO else out)
    scene = open_segmented(arguments.name, params)
    cameras = _cameras(scene, arguments, params.stages.render.frames)
    look = Look(arguments.show, scene.model.labels, (scene.cameras.near, scene.cameras.far))
    downscale = arguments.downscale or params.stages.render.downscale
    if min(cameras.width, cameras.height) < downscale:
        raise SceneError(f"--downscale {downscale}: nothing is left of the pictures")
    ask = _asking(scene, arguments.words, cameras, downscale) if arguments.words else None

    def frame(view: int) -> NDArray[np.uint8]:
        rendered = segment_view(scene.model, cameras, view, downscale, scene.device)
        return picture(rendered, look, ask(view) if ask else None)

    if out.suffix == _VIDEO:
        write_video(out, _frames(cameras, frame), params.stages.render.fps)
    else:
        for view, pixels in zip(cameras.views, _frames(cameras, frame), strict=True):
            save_png(Image.fromarray(pixels), out / f"{view:03d}.png")
    rows = {"pictures": len(cameras), "of each": ", ".join(look.kinds)}
    summary_table(f"renderings in {out}", rows)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    if "relevancy" in arguments.show and not (arguments.words or "").strip():
        raise SceneError("--show relevancy: of what? add --words 'red apple'")
    if arguments.words and "relevancy" not in arguments.show:
        raise SceneError("--words: only relevancy shows them; add --show relevancy")
    for name in ("frames", "downscale"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise SceneError(f"--{name} {value}: expected at least 1")
    if arguments.views and arguments.cameras != "photos":
        raise SceneError("--views: photos have positions; leave out --cameras")


def _cameras(scene: SegmentedScene, arguments: argparse.Namespace, frames: int) -> Cameras:
    count = arguments.frames or frames
    match arguments.cameras:
        case "photos":
            views = arguments.views or scene.cameras.views
            check_views(views, scene.cameras.views, scene.name)
            return scene.cameras.only(views)
        case "orbit":
            return orbit(scene.cameras, count)
        case "flight":
            return fly_through(scene.cameras, count)
        case path:
            frame = find_frame(arguments.frame, scene.poses, scene.images)
            return read_path(Path(path), frame, scene.cameras)


def _asking(
    scene: SegmentedScene, words: str, cameras: Cameras, downscale: int
) -> Callable[[int], NDArray[np.float32]]:
    """Return what gives the relevancy of words, [h, w], for a view."""
    # They bring CLIP along, which takes seconds to import.
    from ovs3d.language.views import point_view
    from ovs3d.language.volume import LanguageVolume

    volume = LanguageVolume.open(built("lift", scene.name, NAME).parent, device=scene.device)
    relevancy = volume.find([words])[0].relevancy[None]
    field = load_field(built("reconstruct", scene.name, "field.safetensors"), scene.device)

    def ask(view: int) -> NDArray[np.float32]:
        drawn = point_view(volume, field, cameras, view, downscale).draw(relevancy)[0]
        return np.asarray(drawn.cpu().numpy(), dtype=np.float32)

    return ask


def _frames(
    cameras: Cameras, frame: Callable[[int], NDArray[np.uint8]]
) -> Iterator[NDArray[np.uint8]]:
    with progress("render", len(cameras), "pictures") as advance:
        for view in cameras.views:
            yield frame(view)
            advance()
