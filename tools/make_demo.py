"""Renders the demo scene, or another written by hand, in the folder layout of the 3D-OVS data set.

Writes images/, segmentations/classes.txt, segmentations/<view>/<label>.png (0 or 255), and for
tests only truth/: cameras.json (see tools/scenes/camera.py), labels/ (line number in classes.txt)
and depth/ (16 bit: camera z = value / 65535 * 20 scene units).
Runs in an environment with Blender's Python module (see tools/requirements.txt).
"""

import argparse
from functools import partial
from pathlib import Path

from tools.scenes.build import build
from tools.scenes.demo import DEMO
from tools.scenes.files import numbers, write_atomic
from tools.scenes.render import render_depth, render_labels, render_photo, setup
from tools.scenes.ring import RING
from tools.scenes.writing import missing, write_masks, write_words

SHOOTS = {"demo": DEMO, "ring": RING}


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
