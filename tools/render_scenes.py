"""Renders random tabletop scenes with exact label maps, to train the small CLIP and DINO on.

Runs in an environment with Blender's Python module (see tools/requirements.txt).
"""

import argparse
import shutil
import time
from pathlib import Path

from tools.scenes.build import build
from tools.scenes.camera import random_views
from tools.scenes.files import numbers, write_json
from tools.scenes.rehearsal import rehearsal
from tools.scenes.render import render_labels, render_photo, setup
from tools.scenes.spec import Shoot, describe, random_spec


def render_scene(shoot: Shoot, folder: Path, samples: int, threads: int) -> None:
    """Render one scene into a folder that appears only when it is complete."""
    partial = folder.with_name(f".{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "images").mkdir(parents=True)
    (partial / "labels").mkdir()
    cameras = shoot.views
    build(shoot.scene)
    setup(cameras[0].width, cameras[0].height, threads)
    # All photos before all label maps: a change of materials makes the renderer start over.
    for index, view in enumerate(cameras):
        render_photo(view, partial / "images" / f"{index:03d}.jpg", samples)
    for index, view in enumerate(cameras):
        render_labels(view, partial / "labels" / f"{index:03d}.png")
    record = {
        "seed": shoot.scene.seed,
        "width": cameras[0].width,
        "height": cameras[0].height,
        "entities": describe(shoot.scene),
        "views": [view.record() for view in cameras],
    }
    write_json(partial / "scene.json", record)
    partial.replace(folder)


def _shoot(seed: int, size: tuple[int, int], views: int, varied: bool) -> Shoot:
    if varied:
        return rehearsal(seed, size, views)
    return Shoot(random_spec(seed), tuple(random_views(size, views, seed)), masked=())


def main() -> None:
    """Render every scene that is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the scene folders")
    parser.add_argument("--seeds", type=numbers, required=True, help='such as "0-199" or "3,7-9"')
    parser.add_argument("--varied", action="store_true", help="draw from a wider range of scenes")
    parser.add_argument("--views", type=int, default=2, help="pictures per scene")
    parser.add_argument("--width", type=int, default=480)
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--samples", type=int, default=8, help="light paths per pixel")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()

    start, rendered = time.perf_counter(), 0
    for seed in args.seeds:
        folder = args.out / f"scene_{seed:04d}"
        if folder.exists():
            continue
        shoot = _shoot(seed, (args.width, args.height), args.views, args.varied)
        render_scene(shoot, folder, args.samples, args.threads)
        rendered += args.views
        rate = (time.perf_counter() - start) / rendered
        print(f"{folder.name}: {rendered} views so far, {rate:.2f} s per view", flush=True)


if __name__ == "__main__":
    main()
