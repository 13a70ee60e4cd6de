"""Measure queries on what is there and on what is not: `python -m studies.queries`."""

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ovs3d import errors
from ovs3d.device import resolve_device
from ovs3d.evaluation.segment import shrink_labels
from ovs3d.field.checkpoint import load_field
from ovs3d.files import atomic_path, write_json
from ovs3d.language.views import PointView, point_view
from ovs3d.language.volume import Finding, LanguageVolume
from ovs3d.photos.dataset import open_photos
from ovs3d.photos.labels import label_names, read_labels
from ovs3d.photos.masks import read_masks, unpack_masks
from ovs3d.progress import plain_console
from ovs3d.space.cameras import load_cameras
from studies.asked import GROUPS, PRESENT, Question, questions
from studies.page import table
from studies.products import Products
from studies.scenes import Scene, load_scenes
from studies.settings import make_params

_LEAST_PIXELS = 20
"""Of a label's mask in a view; what shows less cannot be pointed at."""

Answer = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Ask all scenes and write the page; return the exit code."""
    parser = argparse.ArgumentParser("studies.queries", description=__doc__)
    parser.add_argument("--scenes", type=Path, default=Path("data/suite"), help="folder of a suite")
    parser.add_argument("--split", choices=("dev", "test", "all"), default="test")
    parser.add_argument("--only", nargs="+", metavar="SCENE", help="keep the results of the others")
    parser.add_argument("--views", choices=("val", "test"), default="test", help="to score")
    parser.add_argument("--preset", default="tiny", help="of params.yaml")
    parser.add_argument("--seed", type=int, default=0, help="of the fields")
    parser.add_argument("--work", type=Path, default=Path("data/studies"), help="for what is kept")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="for the results")
    arguments = parser.parse_args(argv)
    command = shlex.join(["python", "-m", "studies.queries", *(argv or sys.argv[1:])])
    return errors.guarded("studies.queries", lambda: _run(arguments, command))


def _run(arguments: argparse.Namespace, command: str) -> None:
    console, file = plain_console(), arguments.out / "queries.json"
    scenes = json.loads(file.read_text())["scenes"] if arguments.only else {}
    for scene in load_scenes(arguments.scenes, arguments.split, arguments.only):
        scenes[scene.name] = describe(ask(scene, arguments))
        console.print(scene.name, scenes[scene.name]["groups"]["names"], soft_wrap=True)
    results = {"command": command, "groups": means(scenes), "scenes": dict(sorted(scenes.items()))}
    write_json(file, results)
    with atomic_path(arguments.out / "queries.md") as temporary:
        temporary.write_text(page(results, arguments.views))
    console.print(f"results: {arguments.out}/queries.md, {arguments.out}/queries.json")


def ask(scene: Scene, arguments: argparse.Namespace) -> list[Answer]:
    """Ask a scene everything; what of the pipeline is missing is made first."""
    file = arguments.work / "running" / scene.name / f"queries-{arguments.seed}.yaml"
    params = make_params(scene, arguments.preset, {}, arguments.seed, file)
    products = Products(scene, arguments.work)
    volume = LanguageVolume.open(products.lift(params), device=resolve_device(params.device))
    field = products.reconstruct(params) / "field.safetensors"
    cameras = products.poses(params) / "cameras.json"
    scored, downscale = scene.scored(arguments.views), params.stages.evaluate.downscale
    return answers(questions(scene), scene, scored, volume, field, cameras, downscale)


@torch.no_grad()
def answers(
    asked: Sequence[Question],
    scene: Scene,
    scored: Sequence[int],
    volume: LanguageVolume,
    field_file: Path,
    cameras_file: Path,
    downscale: int,
) -> list[Answer]:
    """Ask the language volume of a scene.

    Args:
        asked: what.
        scene: whose labels and masks are the truth.
        scored: masked views to look at.
        volume: of the scene.
        field_file: the reconstruction, which tells where the points of the volume are seen.
        cameras_file: of the scene.
        downscale: of the photos to the views that are looked at.
    """
    device = volume.points.device
    field, cameras = load_field(field_file, device), load_cameras(cameras_file)
    labels = label_names(read_labels(scene.classes))
    masks = read_masks(scene.segmentations, labels, open_photos(scene.images))
    views, truth = [], []
    for view in scored:
        views.append(point_view(volume, field, cameras, view, downscale))
        truth.append(unpack_masks(shrink_labels(masks[view], downscale), len(labels)))
    findings = volume.find([question.text for question in asked])
    found = []
    for question, finding in zip(asked, findings, strict=True):
        answer = {**asdict(question), "found": finding.found, "score": round(finding.score, 4)}
        if question.label is not None:
            index = labels.index(question.label)
            shown = [torch.from_numpy(each[index]).to(device) for each in truth]
            answer |= compare(finding, views, shown)
        found.append(answer)
    return found


def compare(finding: Finding, views: Sequence[PointView], masks: Sequence[Tensor]) -> Answer:
    """Compare what was found with masks bool [h, w], in the views in which there is enough of one.

    Returns:
        `located`: for each of them, whether the most relevant pixel is in the mask; `iou`: of the
        mask that was found.
    """
    located, ious = [], []
    for view, mask in zip(views, masks, strict=True):
        if mask.sum() < _LEAST_PIXELS:
            continue
        relevancy, fits = view.draw(torch.stack((finding.relevancy, finding.mask.float())))
        best = relevancy.masked_fill(~view.solid, -1).argmax()
        found = (fits >= 0.5) & view.solid
        located.append(bool(mask.flatten()[best]))
        ious.append(round(float((found & mask).sum() / (found | mask).sum()), 4))
    return {"located": located, "iou": ious}


def describe(answers: Sequence[Answer]) -> dict[str, Any]:
    """Return what `queries.json` holds of a scene: means by group, and texts answered wrongly."""
    wrong = {
        group: [
            answer["text"]
            for answer in answers
            if answer["group"] == group and answer["found"] != (group in PRESENT)
        ]
        for group in GROUPS
    }
    return {"groups": summarise(answers), "wrong": wrong}


def means(scenes: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the means over scenes of what `describe` returned, and how many texts there were."""
    table: dict[str, dict[str, float]] = {}
    for group in GROUPS:
        own = [each["groups"][group] for each in scenes.values() if group in each["groups"]]
        if own:
            table[group] = {name: _mean([each[name] for each in own]) for name in own[0]}
            table[group]["texts"] = sum(each["texts"] for each in own)
    return table


def summarise(answers: Sequence[Answer]) -> dict[str, dict[str, float]]:
    """Return means by group: over texts what is found, over texts and views the rest."""
    summary = {}
    for group in GROUPS:
        own = [answer for answer in answers if answer["group"] == group]
        if not own:
            continue
        numbers = {"texts": len(own), "found": _mean([answer["found"] for answer in own])}
        if group in PRESENT:
            for name in ("located", "iou"):
                numbers[name] = _mean([value for answer in own for value in answer[name]])
        summary[group] = numbers
    return summary


def page(results: Mapping[str, Any], views: str) -> str:
    """Return the results as Markdown."""
    body = []
    for group, numbers in results["groups"].items():
        right = numbers["found"] if group in PRESENT else 1 - numbers["found"]
        shares = [right, *(numbers[name] for name in ("located", "iou") if name in numbers)]
        cells = [f"{100 * share:.1f}" for share in shares]
        row = (group, GROUPS[group], str(numbers["texts"]), *cells)
        body.append((*row, *[""] * (6 - len(row))))
    scenes = [
        (name, *(f"{100 * _right(each['groups'], group):.0f}" for group in GROUPS))
        for name, each in results["scenes"].items()
    ]
    return "\n\n".join(
        (
            "# Queries",
            f"The language volume asked for what is in a scene and for what is not, {views} views "
            f"of {len(scenes)} scenes, unseen by training. In percent, means over scenes:",
            f"    {results['command']}",
            table(("texts", "", "number", "right", "located", "IoU"), body, numbers=2),
            "- right: found if it is there, not found if it is not.\n"
            "- located: the most relevant pixel of a view lies in the label's mask.\n"
            "- IoU: of the mask at the calibrated threshold, 0 for what was not found.\n"
            f"- Views with less than {_LEAST_PIXELS} pixels of a label are left out.",
            "## Every scene",
            "Share of the texts that are answered right.",
            table(("scene", *GROUPS), scenes, numbers=1),
            "",
        )
    )


def _right(groups: Mapping[str, Mapping[str, float]], group: str) -> float:
    found = groups.get(group, {}).get("found", float("nan"))
    return found if group in PRESENT else 1 - found


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 4) if values else float("nan")


if __name__ == "__main__":
    sys.exit(main())
