"""`ovs3d new-scene`: photos, a video or a data set become a scene.

Everything is prepared beside its place and checked; it appears at once, or nothing does.
"""

import argparse
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from ovs3d.apps.downscales import REAL_PHOTOS, fitting_downscales
from ovs3d.apps.findings import check_machine, check_models, gather
from ovs3d.apps.label_findings import check_prompts
from ovs3d.apps.local_encoders import FOLDER as FOLDER_OF_ENCODERS
from ovs3d.apps.local_encoders import local_encoders
from ovs3d.apps.params_entry import check_name, entry_lines, insert_scene
from ovs3d.errors import SceneError, WeightsError
from ovs3d.files import atomic_path
from ovs3d.intake.importers import FORMATS
from ovs3d.intake.scene import FRAMES, make_scene
from ovs3d.params import Preset, load_preset, load_scene_params, preset_names, scene_names
from ovs3d.photos.dataset import Photos
from ovs3d.progress import summary_table
from ovs3d.project import PARAMS_FILE, RAW_FOLDER


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
    parser.add_argument(
        "--frames", type=_count, default=FRAMES, help=f"to take of a video (default {FRAMES})"
    )
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
        report = make_scene(
            arguments.source,
            temporary,
            folder,
            format_=arguments.format,
            words=arguments.labels,
            val_views=arguments.val_views,
            frames=arguments.frames,
            link=arguments.link,
        )
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


def _cache_takes_links() -> bool:
    """Tell whether DVC would make files of a scene, and what is linked to them, its own."""
    command = [sys.executable, "-m", "dvc", "config", "cache.type"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return "hardlink" in found.stdout


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


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a number from 1, got '{text}'")
    return int(text)
