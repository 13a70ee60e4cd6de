"""`ovs3d check`: look for mistakes in a scene before anything expensive runs."""

import argparse
from collections.abc import Iterator

from ovs3d.apps import findings
from ovs3d.apps.findings import Finding, Findings, mistake
from ovs3d.apps.label_findings import check_labels
from ovs3d.errors import Ovs3dError
from ovs3d.params import SceneParams, load_preset, load_scene_params
from ovs3d.photos.dataset import open_photos
from ovs3d.poses.given_poses import FOLDER
from ovs3d.project import PARAMS_FILE, RAW_FOLDER


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("name", help="a key of `scenes` in params.yaml")


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each finding; return 1 if one of them is an error."""
    name = arguments.name
    found = check_scene(name)
    for finding in found:
        print(f"{finding.level}: {finding.text}")
    errors = sum(finding.level == "error" for finding in found)
    # Stages of this scene alone; what they depend on comes along.
    verdict = (
        "mend the errors first" if errors else f"next: dvc repro evaluate@{name} render@{name}"
    )
    counts = f"{_count(errors, 'error')}, {_count(len(found) - errors, 'warning')}"
    print(f"scene {name}: {counts}; {verdict}")
    return 1 if errors else 0


def check_scene(name: str) -> list[Finding]:
    """Run every check on a scene of the project in the current folder."""
    try:
        params = load_scene_params(PARAMS_FILE, name)
    except Ovs3dError as error:
        return [mistake(str(error))]
    return findings.gather(_checks(name, params))


def _checks(name: str, params: SceneParams) -> Iterator[Findings]:
    folder = RAW_FOLDER / name
    images, segmentations, stages = folder / "images", folder / "segmentations", params.stages
    given = images / FOLDER
    yield findings.check_photos(images, given.is_dir(), stages.poses.matching)
    yield check_labels(segmentations, stages)
    try:
        photos = open_photos(images)
    # The first check has told.
    except Ovs3dError:
        photos = None
    if photos is not None:
        yield findings.check_masks(segmentations, photos, params)
        if given.is_dir():
            yield findings.check_poses(photos, given)
        preset = load_preset(PARAMS_FILE, params.preset)
        yield findings.check_downscales(name, photos, params, preset)
        yield findings.check_space(photos, stages, folder)
    yield findings.check_models(name, stages.clip_features)
    yield from findings.check_machine(params)


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
