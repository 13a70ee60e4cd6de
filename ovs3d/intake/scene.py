"""A scene's folder, filled from photos, a video or a data set."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ovs3d.errors import Ovs3dError, SceneError
from ovs3d.intake.bring import Plan, bring_masks, bring_photos, plan_photos
from ovs3d.intake.importers import Format, Source, open_source
from ovs3d.intake.photo_files import dead_links, describe_folders, describe_others, list_photos
from ovs3d.intake.video import extract_frames
from ovs3d.photos.dataset import Photos, open_photos
from ovs3d.photos.labels import (
    LABELS_FILE,
    Label,
    label_names,
    labels_of_option,
    read_labels,
    write_labels,
)
from ovs3d.photos.masks import read_masks
from ovs3d.photos.picture_files import has_alpha
from ovs3d.photos.views import split_views
from ovs3d.poses.colmap_model import enlarge
from ovs3d.poses.given_poses import FOLDER, GivenPoses, name_some, write_format

FRAMES = 60
"""Taken of a video if nothing is said."""


@dataclass(frozen=True)
class SceneReport:
    """What was made."""

    source: Source
    photos: Photos
    labels: tuple[Label, ...]
    masked: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]
    plans: tuple[Plan, ...]
    alpha: int
    """How many photos have an alpha channel."""
    others: str
    """What the folders of the photos hold besides them."""

    def rows(self) -> dict[str, object]:
        """Return the report as rows of a table; what there is none of is left out."""
        given, plans = self.source.given, self.plans
        size = f"{self.photos.width} x {self.photos.height} pixels"
        rows: dict[str, object] = {
            "source": f"{self.source.root} ({self.source.format})",
            "photos": f"{len(self.photos)}, {size}",
            "poses": f"from {given.origin}" if given else "to be found by COLMAP",
            "turned as they were posed": sum(not (p.turned or p.redraw) for p in plans),
            "redrawn without distortion": sum(p.redraw is not None for p in plans),
            "converted to JPEG or PNG": sum(not p.copied for p in plans),
            "stretched (pixels not square)": sum(p.stretched for p in plans),
            "put on a square (upright and lying)": sum(p.canvas is not None for p in plans),
            "with pixels left out (alpha)": self.alpha and f"{self.alpha}; white elsewhere",
            "left out (have no pose)": ", ".join(given.without_pose if given else ()),
            "left out (no such photo)": _counted(given.without_photo) if given else "",
            "left out (other files)": self.others,
            "note": "; ".join(given.notes if given else ()),
            "labels": ", ".join(map(str, self.labels)),
            "validation views": ", ".join(map(str, self.val)),
            "test views": ", ".join(map(str, self.test)),
            "masks": "" if self.masked else "none, so no mIoU",
        }
        return {name: value for name, value in rows.items() if value}


def make_scene(
    root: Path,
    folder: Path,
    place: Path,
    *,
    format_: Format | None = None,
    words: str | None = None,
    val_views: Sequence[int] = (),
    frames: int = FRAMES,
    link: bool = False,
) -> SceneReport:
    """Fill a scene's folder.

    Args:
        root: folder of photos or data set, or a video.
        folder: to make.
        place: where it will be moved to in the end; nothing is taken from there.
        format_: what the source is; None: what it looks like.
        words: labels between commas, or a file of them; None: those that the source has.
        val_views: photos by position, sorted by name; none: as the source divides them.
        frames: to take of a video.
        link: hard links instead of copies.

    Raises:
        Ovs3dError: something in the source cannot be used.
    """
    _keep_apart(root, place)
    source = open_source(root, format_)
    for path in source.photos:
        _keep_apart(path, place)
    labels = _labels(words, source)
    images, segmentations = folder / "images", folder / "segmentations"
    plans: dict[Path, Plan] = {}
    if source.format == "video":
        extract_frames(source.root, frames, images)
    else:
        given = source.given
        masks = given.masks if given else {}
        plans = plan_photos(source.photos, source.rewrite, masks, given is not None)
        bring_photos(plans, images, link)
        if given:
            _write_poses(given, plans, images / FOLDER)
    others = _others(source)
    segmentations.mkdir()
    if source.segmentations:
        bring_masks(source.segmentations, tuple(plans.values()), segmentations)
    write_labels(segmentations / LABELS_FILE, labels)
    with _named_as_the_user_knows_it(folder, source):
        photos = open_photos(images)
        masked = tuple(read_masks(segmentations, label_names(labels), photos))
    val, test = _held_out(val_views, source.given, plans, photos, masked)
    alpha = sum(has_alpha(path) for path in photos.paths)
    brought = tuple(plans.values())
    report = SceneReport(source, photos, labels, masked, val, test, brought, alpha, others)
    split_views(len(photos), report.val, report.test, "held_out")
    return report


def _keep_apart(path: Path, scene: Path) -> None:
    """Check that what is brought is not what it would replace, through links as well.

    Raises:
        SceneError: it is.
    """
    # Unlike `resolve`, also if links lead in a circle.
    inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(scene))
    if inside and scene.exists():
        raise SceneError(
            f"{path}: belongs to the scene itself, which would be replaced by a part of it; to "
            f"change its labels, edit {scene}/segmentations/{LABELS_FILE}, or copy it elsewhere "
            "first"
        )


def _held_out(
    wanted: Sequence[int],
    given: GivenPoses | None,
    plans: Mapping[Path, Plan],
    photos: Photos,
    masked: Sequence[int],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Choose validation and test views: as told, as the source divides them, those with masks."""
    parts = (given.val, given.test) if given else ((), ())
    listed = [{photos.names.index(plans[path].name) for path in part} for part in parts]
    val = set(wanted) or listed[0] - set(masked)
    return tuple(sorted(val)), tuple(sorted(({*masked} | listed[1]) - val))


def _others(source: Source) -> str:
    """Say what lies beside the photos.

    Raises:
        SceneError: masks count photos that are not there.
    """
    folders = sorted({path.parent for path in source.photos})
    known = {*source.photos, *(path for folder in folders for path in list_photos(folder))}
    dead = [path for folder in folders for path in dead_links(folder)]
    if dead and source.segmentations and any(map(Path.is_dir, source.segmentations.iterdir())):
        raise SceneError(
            f"{dead[0]}: leads nowhere, as {len(dead)} in all do, but masks count all photos; "
            "bring the photos back, or take the masks away"
        )
    beside = (describe_others(folder, known) for folder in folders)
    return ", ".join(filter(None, (*beside, *map(describe_folders, folders))))


def _write_poses(given: GivenPoses, plans: Mapping[Path, Plan], folder: Path) -> None:
    for image in given.model.images.values():
        if image.has_pose:
            image.name = plans[given.photos[image.name]].name
    side = next(iter(plans.values())).canvas
    if side:
        enlarge(given.model, side)
    folder.mkdir()
    given.model.write_binary(folder)
    write_format(given, folder)


def _labels(words: str | None, source: Source) -> tuple[Label, ...]:
    if words is None:
        if source.segmentations is None:
            raise SceneError(
                f"{source.root}: no labels; say what is in the scene, for example "
                "--labels 'red apple, wooden table, wall'"
            )
        return read_labels(source.segmentations / LABELS_FILE)
    return labels_of_option(words)


@contextmanager
def _named_as_the_user_knows_it(folder: Path, source: Source) -> Iterator[None]:
    """Let messages name files of the source instead of their copies in a temporary folder."""
    images = source.photos[0].parent if source.photos else source.root
    try:
        yield
    except Ovs3dError as error:
        message = str(error).replace(str(folder / "images"), str(images))
        raise type(error)(message.replace(str(folder), str(source.root))) from None


def _counted(names: Sequence[str]) -> str:
    return f"{len(names)}: {name_some(names)}" if names else ""
