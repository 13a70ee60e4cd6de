"""The summary of a rendered suite, and the digests that it is expected to have."""

import hashlib
import json
from pathlib import Path

from tools.scenes.files import write_json
from tools.scenes.recipe import Recipe, shoot
from tools.scenes.suite import RECIPES

RECORDED = Path(__file__).with_name("suite_digests.json")


def scene_files(recipe: Recipe) -> list[str]:
    """Return the names of all files of a scene, sorted."""
    shot = shoot(recipe)
    every = range(len(shot.views))
    return sorted(
        [
            "segmentations/classes.txt",
            "truth/cameras.json",
            *(f"images/{index:03d}.jpg" for index in every),
            *(f"truth/labels/{index:03d}.png" for index in every),
            *(
                f"segmentations/{index:02d}/{label}.png"
                for index in shot.masked
                for label in shot.scene.labels
            ),
        ]
    )


def scene_digest(folder: Path, files: list[str]) -> str:
    """Return the SHA-256 over the names and contents of a scene's files."""
    digest = hashlib.sha256()
    for name in files:
        digest.update(f"{name}\0".encode())
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return digest.hexdigest()


def write_summary(out: Path) -> None:
    """Write suite.json: split, views to choose by and to report on, and digest of each scene.

    Scenes that are not complete are left out.
    """
    summary: dict[str, dict[str, object]] = {}
    for recipe in RECIPES:
        folder, files = out / recipe.name, scene_files(recipe)
        if all((folder / name).exists() for name in files):
            summary[recipe.name] = {
                "split": recipe.split,
                "val_views": recipe.val_views,
                "test_views": recipe.test_views,
                "sha256": scene_digest(folder, files),
            }
    write_json(out / "suite.json", summary)


def changed(out: Path, name: str) -> bool:
    """Tell whether a rendered scene differs from its recorded digest, if it has one."""
    summary = json.loads((out / "suite.json").read_text(encoding="utf-8"))
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    return name in recorded and summary[name]["sha256"] != recorded[name]
