"""Renders the suite of scenes to measure on, in the folder layout of the 3D-OVS data set.

Writes <scene>/images/, <scene>/segmentations/ and <scene>/truth/ as make_demo.py does, without
depth, and suite.json: what to choose by, what to report on, and a digest of every whole scene.
Runs in an environment with Blender's Python module (see tools/requirements.txt).
"""

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from tools.scenes.build import build
from tools.scenes.camera import View
from tools.scenes.digests import changed, write_summary
from tools.scenes.files import write_atomic
from tools.scenes.recipe import Recipe, shoot
from tools.scenes.render import render_labels, render_photo, setup
from tools.scenes.suite import RECIPES
from tools.scenes.writing import missing, write_masks, write_words

BY_NAME = {recipe.name: recipe for recipe in RECIPES}


def take_photo(recipe: Recipe, index: int, view: View, samples: int, path: Path) -> None:
    """Render a view and develop it as the scene's camera would."""
    seed = (recipe.seed, index)
    rendered = path.with_suffix(".png")
    render_photo(view, rendered, samples)
    pixels = np.asarray(Image.open(rendered).convert("RGB"))
    photo = recipe.darkroom.develop(pixels, seed, index in recipe.held_out)
    photo.save(path, quality=recipe.darkroom.draw_quality(seed))
    rendered.unlink()


def make_scene(recipe: Recipe, out: Path, samples: int, threads: int) -> None:
    """Render every picture of a scene that is not there yet."""
    shot = shoot(recipe)
    every = list(range(len(shot.views)))
    photos = missing(out / "images", ".jpg", every)
    label_maps = missing(out / "truth" / "labels", ".png", every)
    write_words(out, shot)
    if photos or label_maps:
        build(shot.scene)
        setup(*recipe.size, threads)
    # One kind of picture after the other: a change of materials makes the renderer start over.
    for index, path in photos:
        write_atomic(path, partial(take_photo, recipe, index, shot.views[index], samples))
    for index, path in label_maps:
        write_atomic(path, partial(render_labels, shot.views[index]))
    for index in shot.masked:
        write_masks(out, index, shot.scene)


def names(text: str) -> list[Recipe]:
    """Parse "dev_a,test_b" into the recipes it names."""
    unknown = [name for name in text.split(",") if name not in BY_NAME]
    if unknown:
        known = ", ".join(BY_NAME)
        raise argparse.ArgumentTypeError(f"no scene {', '.join(unknown)}; there are {known}")
    return [BY_NAME[name] for name in text.split(",")]


def main() -> None:
    """Render every scene that is not there yet and compare it with the recorded digests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the scene folders")
    parser.add_argument("--scenes", type=names, default=list(RECIPES), help='like "dev_a,test_b"')
    parser.add_argument("--samples", type=int, default=8, help="light paths per pixel")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()

    for recipe in args.scenes:
        start = time.perf_counter()
        make_scene(recipe, args.out / recipe.name, args.samples, args.threads)
        write_summary(args.out)
        print(f"{recipe.name}: done in {time.perf_counter() - start:.0f} s", flush=True)
        if changed(args.out, recipe.name):
            print(f"{recipe.name}: differs from the recorded digest", flush=True)


if __name__ == "__main__":
    main()
