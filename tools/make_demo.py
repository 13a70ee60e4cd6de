"""Renders the demo scene, or another written by hand, in the folder layout of the 3D-OVS data set.

Writes images/, segmentations/classes.txt, segmentations/<view>/<label>.png (0 or 255), and for
tests only truth/: cameras.json (see tools/scenes/camera.py), labels/ (line number in classes.txt)
and depth/ (16 bit: camera z = value / 65535 * 20 scene units).
Runs in an environment with Blender's Python module (see tools/requirements.txt).
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from tools.scenes.build import build
from tools.scenes.demo import DEMO
from tools.scenes.files import numbers, write_atomic, write_json, write_text
from tools.scenes.render import render_depth, render_labels, render_photo, setup
from tools.scenes.ring import RING
from tools.scenes.spec import SceneSpec, Shoot

SHOOTS = {"demo": DEMO, "ring": RING}


def write_words(out: Path, shoot: Shoot) -> None:
    """Write the list of labels and the true cameras."""
    labels = [entity.label for entity in shoot.scene.entities]
    write_text(out / "segmentations" / "classes.txt", "\n".join(labels) + "\n")
    write_json(out / "truth" / "cameras.json", [view.record() for view in shoot.views])


def write_masks(out: Path, index: int, scene: SceneSpec) -> None:
    """Split a label map into one mask per label."""
    indices = np.asarray(Image.open(out / "truth" / "labels" / f"{index:03d}.png"))
    for number, entity in enumerate(scene.entities, start=1):
        mask = Image.fromarray(np.where(indices == number, 255, 0).astype(np.uint8))
        path = out / "segmentations" / f"{index:02d}" / f"{entity.label}.png"
        write_atomic(path, mask.save)


def missing(folder: Path, suffix: str, wanted: list[int]) -> list[tuple[int, Path]]:
    """Return the wanted views that have no file in the folder yet, with their paths."""
    paths = [(index, folder / f"{index:03d}{suffix}") for index in wanted]
    return [(index, path) for index, path in paths if not path.exists()]


def main() -> None:
    """Render every picture that is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scene", choices=SHOOTS, default="demo")
    parser.add_argument("--out", type=Path, help="default: data/raw/<scene>")
    parser.add_argument("--views", type=numbers, help='like "0-14"; default: all')
    parser.add_argument("--samples", type=int, default=24, help="light paths per pixel")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()

    shoot, out = SHOOTS[args.scene], args.out or Path("data/raw") / args.scene
    views = args.views or list(range(len(shoot.views)))
    write_words(out, shoot)
    build(shoot.scene)
    setup(shoot.views[0].width, shoot.views[0].height, args.threads)
    # One kind of picture after the other: a change of materials makes the renderer start over.
    for index, path in missing(out / "images", ".jpg", views):
        write_atomic(path, partial(render_photo, shoot.views[index], samples=args.samples))
        print(f"photo {index}", flush=True)
    for index, path in missing(out / "truth" / "labels", ".png", views):
        write_atomic(path, partial(render_labels, shoot.views[index]))
    masked = [index for index in views if index in shoot.masked]
    for index, path in missing(out / "truth" / "depth", ".png", masked):
        write_atomic(path, partial(render_depth, shoot.views[index]))
    for index in masked:
        write_masks(out, index, shoot.scene)
    print("done", flush=True)


if __name__ == "__main__":
    main()
