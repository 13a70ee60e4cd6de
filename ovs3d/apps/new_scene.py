"""`ovs3d new-scene`: photos, a video or a data set become a scene.

Everything is prepared beside its place and checked; it appears at once, or nothing does.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovs3d.apps.downscales import REAL_PHOTOS, fitting_downscales
from ovs3d.apps.findings import check_machine, check_models, gather
from ovs3d.apps.label_findings import check_prompts
from ovs3d.apps.local_encoders import FOLDER as FOLDER_OF_ENCODERS
from ovs3d.apps.local_encoders import local_encoders
from ovs3d.apps.params_entry import check_name, entry_lines, insert_scene
from ovs3d.apps.project import PARAMS_FILE, RAW_FOLDER
from ovs3d.errors import Ovs3dError, SceneError, WeightsError
from ovs3d.files import atomic_path
from ovs3d.intake.bring import Plan, bring_masks, bring_photos, plan_photos
from ovs3d.intake.importers import FORMATS, LABELS_FILE, Source, open_source
from ovs3d.intake.photo_files import dead_links, describe_others, list_photos
from ovs3d.intake.video import extract_frames
from ovs3d.params import Preset, load_preset, load_scene_params, preset_names, scene_names
from ovs3d.photos.dataset import Photos, has_alpha, open_photos
from ovs3d.photos.labels import Label, label_names, labels_of_option, read_labels, write_labels
from ovs3d.photos.masks import read_masks
from ovs3d.photos.views import split_views
from ovs3d.poses.given_poses import FOLDER, GivenPoses, enlarge, name_some, write_format
from ovs3d.progress import summary_table


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
            "left out (no photos)": self.others,
            "note": "; ".join(given.notes if given else ()),
            "labels": ", ".join(map(str, self.labels)),
            "validation views": ", ".join(map(str, self.val)),
            "test views": ", ".join(map(str, self.test)),
            "masks": "" if self.masked else "none, so no mIoU",
        }
        return {name: value for name, value in rows.items() if value}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("name", help="the scene's name: letters, digits, - and _")
    parser.add_argument("source", type=Path, help="folder of photos or data set, or a video")
    parser.add_argument(
        "--labels",
        help="separated by commas, for example 'mug = blue mug | a cup, wall', or a file with one "
        "a line",
    )
    parser.add_argument("--format", choices=FORMATS, help="what SOURCE is (default: look at it)")
    parser.add_argument("--preset", help=f"of params.yaml (default: {REAL_PHOTOS})")
    parser.add_argument(
        "--val-views",
        type=int,
        nargs="+",
        default=[],
        help="photos by position, sorted by name, to compare parameters and prompts on; all other "
        "views with masks are test views",
    )
    parser.add_argument("--frames", type=_count, default=60, help="to take of a video (default 60)")
    parser.add_argument("--link", action="store_true", help="hard links instead of copies")
    parser.add_argument(
        "--trust-poses",
        action="store_true",
        help="take given poses as they are, without comparing them with the photos",
    )
    parser.add_argument("--replace", action="store_true", help="replace a scene of that name")


def run(arguments: argparse.Namespace) -> int:
    """Make the scene and say what to run next."""
    name = arguments.name
    check_name(name)
    known = name in scene_names(PARAMS_FILE)
    folder = RAW_FOLDER / name
    if (known or folder.exists()) and not arguments.replace:
        raise SceneError(f"scene '{name}' exists already; choose another name, or say --replace")
    preset = _preset(arguments.preset)
    params = load_preset(PARAMS_FILE, preset)
    if arguments.link and _cache_takes_links():
        print("--link: copied all the same; DVC's cache.type is hardlink, so your originals would")
        print("become the cache's files, which DVC makes read-only")
        arguments.link = False
    with atomic_path(folder) as temporary:
        report = make_scene(arguments, temporary)
        # Without the tokenizer at hand, `check` will tell.
        with suppress(WeightsError):
            check_prompts(report.labels, params)
        if not known:
            overrides = scene_overrides(preset, params, report.photos)
            if arguments.trust_poses:
                overrides.setdefault("poses", {})["given"] = "trust"
            entry = entry_lines(name, preset, report.val, report.test, overrides)
            content = insert_scene(PARAMS_FILE, entry)
            with atomic_path(PARAMS_FILE) as text:
                text.write_bytes(content)
    scene = load_scene_params(PARAMS_FILE, name)
    made_here = {"encoders": FOLDER_OF_ENCODERS} if not known and local_encoders(preset) else {}
    rows = {"folder": folder, "preset": scene.preset, **made_here, **report.rows()}
    summary_table(f"scene {name}", rows)
    if known:
        print(f"{PARAMS_FILE} had scene '{name}' and stays as it was; look at its views.")
    checks = [check_models(name, scene.stages.clip_features), *check_machine(scene)]
    for finding in gather(checks):
        print(f"{finding.level}: {finding.text}")
    print(
        f"next: ovs3d check {name}, then dvc repro evaluate@{name} render@{name}\n"
        "to share the scene, or to queue experiments with it:\n"
        f"  dvc add {folder}/images && git add {PARAMS_FILE} {folder} && git commit"
    )
    return 0


def make_scene(arguments: argparse.Namespace, folder: Path) -> SceneReport:
    """Fill a scene's folder.

    Args:
        arguments: of the command.
        folder: the folder to make; need not be the scene's final place.

    Raises:
        Ovs3dError: something in the source cannot be used.
    """
    _keep_apart(arguments.source, RAW_FOLDER / arguments.name)
    source = open_source(arguments.source, arguments.format)
    for path in source.photos:
        _keep_apart(path, RAW_FOLDER / arguments.name)
    labels = _labels(arguments.labels, source)
    images, segmentations = folder / "images", folder / "segmentations"
    plans: dict[Path, Plan] = {}
    if source.format == "video":
        extract_frames(source.root, arguments.frames, images)
    else:
        given = source.given
        masks = given.masks if given else {}
        plans = plan_photos(source.photos, source.rewrite, masks, given is not None)
        bring_photos(plans, images, arguments.link)
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
    val, test = _held_out(arguments.val_views, source.given, plans, photos, masked)
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


def _cache_takes_links() -> bool:
    """Tell whether DVC would make files of a scene, and what is linked to them, its own."""
    command = [sys.executable, "-m", "dvc", "config", "cache.type"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return "hardlink" in found.stdout


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
    return ", ".join(filter(None, (describe_others(each, known) for each in folders)))


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


def scene_overrides(preset: str, params: Preset, photos: Photos) -> dict[str, dict[str, Any]]:
    """Choose what a scene changes in its preset.

    Downscales that fit the size of the photos where the preset's do not, and encoders that were
    made on this machine.

    Args:
        preset: name of the preset.
        params: its sections.
        photos: of the scene.

    Returns:
        Section -> key -> value.
    """
    overrides = {section: dict(values) for section, values in local_encoders(preset).items()}
    fitting = fitting_downscales(preset, params, photos.width, photos.height)
    for section, value in fitting.items():
        if value != getattr(params, section).downscale:
            overrides.setdefault(section, {})["downscale"] = value
    return overrides


def _preset(wanted: str | None) -> str:
    presets = preset_names(PARAMS_FILE)
    name = wanted or REAL_PHOTOS
    if name not in presets:
        raise SceneError(f"--preset {name}: {PARAMS_FILE} has {', '.join(presets)}")
    return name


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


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a number from 1, got '{text}'")
    return int(text)
