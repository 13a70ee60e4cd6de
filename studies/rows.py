"""All rows of the study: the method, its ablations, baselines, other statistics, oracles."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ovs3d.distill.inputs import DistillInputs
from ovs3d.errors import ParamsError, did_you_mean
from studies import distilled, oracle, precision, statistics, words
from studies.baselines import clip_2d, ffd, lerf, lifting, semantic, volume
from studies.case import Case, LabelMaps
from studies.scenes import Scene
from studies.variants import ABLATIONS, FULL, Variant

GROUPS = ("test", "baselines", "ablations", "words", "statistics", "oracles", "precision")


def _as_it_is(scene: Scene, work: Path) -> Scene:  # noqa: ARG001
    return scene


@dataclass(frozen=True)
class Row:
    """Something to measure on every scene.

    Attributes:
        name: on the command line and in the results.
        group: one of `GROUPS`.
        text: what it is, for the table.
        label: labels the views of a case.
        stages: of the pipeline whose code it runs itself.
        files: further code that it depends on.
        overrides: dotted keys of the parameters -> values.
        seeded: whether another seed gives another result.
        scene: makes, of a scene and the folder of products, the scene that the stages see.
    """

    name: str
    group: str
    text: str
    label: Callable[[Case], LabelMaps]
    stages: tuple[str, ...] = distilled.STAGES
    files: tuple[Path, ...] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)
    seeded: bool = True
    scene: Callable[[Scene, Path], Scene] = _as_it_is


def _file(name: str) -> Path:
    return Path("studies", *name.split("/"))


def _variant(variant: Variant, group: str) -> Row:
    return Row(variant.name, group, variant.text, distilled.label_maps, overrides=variant.overrides)


def _clip_2d(name: str, text: str, **options: Any) -> Row:
    label = partial(clip_2d.label_maps, **options)
    code = (_file("baselines/clip_2d.py"),)
    return Row(name, "baselines", text, label, ("evaluate",), code, seeded=False)


_CLIP_2D = (
    _clip_2d("clip_2d", "windows of the scored photo, mean over scales; no 3D"),
    _clip_2d("clip_2d_large", "the same, largest windows alone", scale=0),
    _clip_2d("clip_2d_small", "the same, smallest windows alone", scale=-1),
    _clip_2d("clip_2d_stretched", "the same, each label stretched to [0, 1]", normalise=True),
)


def _baseline(name: str, text: str, label: Callable[[Case], LabelMaps]) -> Row:
    code = (
        _file(f"baselines/{name}.py"),
        _file("baselines/training.py"),
        Path("ovs3d/distill/baked_rays.py"),
        Path("ovs3d/distill/inputs.py"),
    )
    return Row(name, "baselines", text, label, ("evaluate",), code)


def _oracle(name: str, text: str, change: Callable[[Case], DistillInputs]) -> Row:
    label = partial(distilled.changed, change)
    return Row(name, "oracles", text, label, files=(_file("oracle.py"), _file("stores.py")))


_BASELINES = (
    _baseline("lifting", "windows averaged in voxels, no training", lifting.label_maps),
    Row(
        "volume",
        "baselines",
        "language volume of stage lift, asked for the labels",
        volume.label_maps,
        ("lift", "evaluate"),
        (_file("baselines/volume.py"),),
    ),
    _baseline("lerf", "LERF: all scales, DINO, relevancy against common words", lerf.label_maps),
    _baseline("ffd", "FFD: one scale and DINO in one volume", ffd.label_maps),
    _baseline("semantic", "Semantic-NeRF: trained on true label maps", semantic.label_maps),
)
_ORACLES = (
    _oracle("true_windows", "windows: the text of what is in their middle", oracle.true_windows),
    _oracle("one_hot_windows", "windows and texts: codes of the labels", oracle.one_hot_windows),
    Row(
        "true_poses",
        "oracles",
        "cameras: the true ones",
        distilled.label_maps,
        files=(_file("oracle.py"),),
        scene=oracle.true_poses,
    ),
)


def _worded(name: str, text: str, scene: Callable[[Scene, Path], Scene]) -> Row:
    code = (_file("words.py"), Path("tools", "scenes", "vocabulary.py"))
    return Row(name, "words", text, distilled.label_maps, files=code, scene=scene)


_WORDS = (
    _worded("rephrased_1", "another word for each thing", partial(words.rephrased, 1)),
    _worded("rephrased_2", "other words for all", partial(words.rephrased, 2)),
    _worded("strangers", "two more labels, of things not in the scene", words.with_strangers),
)
_STATISTICS = tuple(
    Row(
        name,
        "statistics",
        text,
        partial(distilled.changed, partial(statistics.change_inputs, name)),
        files=(_file("statistics.py"), _file("stores.py")),
    )
    for name, (text, _) in statistics.FITS.items()
)
_PRECISION = tuple(
    Row(
        name,
        "precision",
        f"products of matrices from numbers with {bits} bits of mantissa, for 23",
        partial(precision.label_maps, name),
        files=(_file("precision.py"),),
    )
    for name, bits in precision.BITS.items()
)
ROWS: Mapping[str, Row] = {
    row.name: row
    for row in (
        _variant(FULL, "test"),
        *_CLIP_2D,
        *_BASELINES,
        *(_variant(variant, "ablations") for variant in ABLATIONS),
        *_WORDS,
        *_STATISTICS,
        *_ORACLES,
        *_PRECISION,
    )
}


def choose_rows(names: Sequence[str]) -> list[Row]:
    """Return the rows of some names or groups, all without any; always in the table's order.

    Raises:
        ParamsError: a name is neither.
    """
    known = (*ROWS, *GROUPS)
    for name in names:
        if name not in known:
            raise ParamsError(f"--only: no row '{name}'{did_you_mean(name, known)}")
    return [row for row in ROWS.values() if not names or {row.name, row.group} & set(names)]
