"""What can be wrong with a scene, found in seconds and without network: one line for each finding.

Every check takes what it looks at and yields findings; what makes an error in a stage is an error
here, what makes a bad result a warning.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from ovs3d.apps.downscales import REAL_PHOTOS, fitting_downscales
from ovs3d.apps.scene_sizes import window_counts
from ovs3d.device import resolve_device
from ovs3d.errors import Ovs3dError, SceneError
from ovs3d.features.available import clip_weights, dino_weights
from ovs3d.features.clip_params import ClipFeaturesParams
from ovs3d.params import Preset, SceneParams
from ovs3d.photos.dataset import Photos, open_photos
from ovs3d.photos.labels import LABELS_FILE, label_names, read_labels
from ovs3d.photos.masks import read_masks
from ovs3d.photos.sharpness import Look, look_at_photo
from ovs3d.photos.views import split_views
from ovs3d.poses.given_poses import name_some, read_given
from ovs3d.progress import progress

_FEW_PHOTOS = 15
_MANY_PHOTOS = 200
"""From here on matching all pairs takes longer than the rest of stage poses."""
_BLURRED = 0.3
"""Sharpness relative to the median below which a photo stands out; steady photos stay above 0.9."""
_SAME = 0.7
"""Grey levels between thumbnails; neighbours of a slow walk differ by 2 and more."""
_LARGE_GRID = 10_000_000
"""Voxels; the preset for a CPU has a fifth of it."""
_LONG_VECTOR = 1024
"""Numbers of the longest usual embedding."""
_SMALL_PATCH = 8
"""Pixels; side of the smallest usual patch of a ViT."""
_DEMO, _SHIPPED = "demo", "ovs3d-tiny.safetensors"
_TOO_COARSE = 1.5
"""Times the fitting downscale; beyond it a stage sees too little for the preset's numbers."""
_RATIO_OF_BYTES = 2.5
"""A store is in DVC's cache too, and Zarr may not compress it."""


@dataclass(frozen=True)
class Finding:
    """One line about a scene."""

    level: Literal["error", "warning"]
    text: str


Findings = Iterator[Finding]
mistake, warning = partial(Finding, "error"), partial(Finding, "warning")


def check_photos(images: Path, given: bool, matching: str) -> Findings:
    """Look at every photo: readable, enough of them, sharp, different.

    Args:
        images: folder of the photos.
        given: the scene brings its poses along.
        matching: `poses.matching`.
    """
    photos = open_photos(images)
    looks: dict[str, Look] = {}
    with progress("photos", len(photos), "photos") as advance:
        for path in photos.paths:
            try:
                looks[path.name] = look_at_photo(path)
            except SceneError as error:
                yield mistake(str(error))
            advance()
    count = len(photos)
    if count < 3:
        yield mistake(f"{images}: {count} photos; a scene needs 3, and rather 20 to 60")
    elif count < _FEW_PHOTOS:
        yield warning(f"{images}: only {count} photos; 20 to 60 work better")
    if count > _MANY_PHOTOS and matching == "exhaustive" and not given:
        yield warning(
            f"{images}: {count} photos make {count * (count - 1) // 2} pairs to match; with "
            "poses.matching auto they are neighbours and look-alikes only"
        )
    yield from _compare(images, looks)


def _compare(images: Path, looks: Mapping[str, Look]) -> Findings:
    names = list(looks)
    if not names:
        return
    sharpness = np.array([look.sharpness for look in looks.values()])
    blurred = [names[i] for i in np.flatnonzero(sharpness < _BLURRED * np.median(sharpness))]
    if blurred:
        yield warning(
            f"{images}: blurred compared with the others: {name_some(blurred)}; leave them out"
        )
    thumbnails = np.stack([look.thumbnail for look in looks.values()])
    same = []
    for index in range(1, len(names)):
        difference = np.abs(thumbnails[:index] - thumbnails[index]).mean(axis=(1, 2))
        if difference.min() < _SAME:
            same.append(f"{names[index]} (as {names[int(difference.argmin())]})")
    if same:
        yield warning(f"{images}: show the same as another: {name_some(same)}; keep one of each")


def check_masks(segmentations: Path, photos: Photos, params: SceneParams) -> Findings:
    """Look at masks and at the views that are held out."""
    split_views(len(photos), params.val_views, params.test_views, params.split)
    names = label_names(read_labels(segmentations / LABELS_FILE))
    masked = read_masks(segmentations, names, photos)
    held_out = {*params.val_views, *params.test_views}
    leaked = [str(view) for view in masked if view not in held_out]
    if leaked and params.split == "held_out":
        yield mistake(
            f"{segmentations}: views with masks would be trained on: {', '.join(leaked)}; add them "
            "to test_views or val_views of the scene in params.yaml, or set split: paper"
        )


def check_poses(photos: Photos, given: Path) -> Findings:
    """Look at the poses that the scene brings along."""
    # What is wrong is raised, and `gather` makes a finding of it.
    read_given(given, photos)
    yield from ()


def check_machine(params: SceneParams) -> Iterator[Findings]:
    """Compare what the parameters ask for with what this machine has: models, then a GPU."""
    clip, dino = params.stages.clip_features, params.stages.dino_features
    yield _check_weights("clip_features", clip.model, clip.weights, clip_weights)
    yield _check_weights("dino_features", dino.model, dino.weights, dino_weights)
    yield _check_device(params)


def _check_weights(
    section: str, model: str, weights: str, find: Callable[[str, str], Path | None]
) -> Findings:
    if find(model, weights) is None:
        yield warning(
            f"{section}: the weights of {model} ({weights}) are not on this machine; the stage "
            f"will download them, or set {section}.weights to a file"
        )


def _check_device(params: SceneParams) -> Findings:
    large = params.stages.reconstruct.voxels_end > _LARGE_GRID
    if resolve_device(params.device).type == "cpu" and large:
        yield warning(
            "device: no CUDA GPU here, and parameters of this size want one; `ovs3d plan` tells "
            "about how long this machine takes"
        )


def check_models(name: str, clip: ClipFeaturesParams) -> Findings:
    """Look whether the small models that ship are used on what they do not know."""
    if name != _DEMO and Path(clip.weights).name == _SHIPPED:
        yield warning(
            f"clip_features: {clip.weights} knows only the rendered objects of the demo and is "
            f"useless on real photos; those take preset {REAL_PHOTOS}"
        )


def check_downscales(name: str, photos: Photos, params: SceneParams, preset: Preset) -> Findings:
    """Look whether stages see enough of the photos.

    Args:
        name: of the scene.
        photos: of the scene.
        params: of the scene.
        preset: of the scene, without what it overrides.
    """
    sections = params.stages
    fitting = fitting_downscales(params.preset, preset, photos.width, photos.height)
    overrides = [
        f"{section}: {{downscale: {wanted}}}"
        for section, wanted in fitting.items()
        if getattr(sections, section).downscale > _TOO_COARSE * wanted
    ]
    if overrides:
        sees = " x ".join(
            str(side // sections.distill.downscale) for side in (photos.width, photos.height)
        )
        yield warning(
            f"photos of {photos.width} x {photos.height} are small for these downscales "
            f"(distillation sees {sees} pixels); set under scenes.{name} in params.yaml: "
            f"{', '.join(overrides)}"
        )


def check_space(photos: Photos, params: Preset, folder: Path) -> Findings:
    """Compare the space on the disk with about what the scene takes."""
    windows = sum(window_counts(params.clip_features, photos.width, photos.height))
    patch = round((params.dino_features.downscale * _SMALL_PATCH) ** 2)
    tokens = photos.width * photos.height // patch
    stores = len(photos) * (windows + tokens) * _LONG_VECTOR * 2
    ranks = params.reconstruct.density_ranks + params.reconstruct.appearance_ranks
    fields = 3 * params.reconstruct.voxels_end ** (2 / 3) * sum(ranks) * 4 * 2
    needed = int(_RATIO_OF_BYTES * (stores + fields))
    free = shutil.disk_usage(folder).free
    if needed > free:
        yield mistake(
            f"{folder.resolve()}: {free / 1e9:.1f} GB free on the disk, but the scene may take "
            f"{needed / 1e9:.1f} GB"
        )


def gather(checks: Iterable[Findings]) -> list[Finding]:
    """Run checks one after the other; an `Ovs3dError` of one is a finding and ends that one.

    Two checks that trip over the same file say so once.
    """
    found: list[Finding] = []
    for check in checks:
        try:
            found.extend(check)
        except Ovs3dError as error:
            found.append(mistake(str(error)))
    return list(dict.fromkeys(found))
