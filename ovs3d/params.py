"""Typed parameters: `params.yaml` is the only source of numbers; this says what they must be."""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from ovs3d.errors import ParamsError

PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(gt=0, le=1)]
Views = tuple[Annotated[int, Field(ge=0)], ...]
"""Indices of photos, sorted by name."""
Ranks = tuple[PositiveInt, PositiveInt, PositiveInt]
Device = Literal["auto", "cpu", "cuda"]
Split = Literal["held_out", "paper"]
CameraModel = Literal["SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV"]
"""COLMAP's names of the camera models that can be turned into rays, whatever their parameters."""
Matching = Literal["auto", "exhaustive", "sequential"]
MemoryBudget = Literal["auto"] | PositiveFloat
"""In 10^9 bytes."""
Shading = Literal["sample", "ray"]
SectionType = TypeVar("SectionType", bound="Section")
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "string": "a word",
    "tuple": "a list",
    "dict": "a section of keys",
    "model": "a section of keys",
}
"""First word of pydantic's name of an error -> what it wants."""


class Section(BaseModel):
    """Base of all sections: immutable, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PosesParams(Section):
    """Structure from motion with COLMAP."""

    camera_model: CameraModel
    matching: Matching
    """`auto`: all pairs of few photos; of many, neighbours and those that look alike."""
    max_features: PositiveInt
    first_octave: Annotated[int, Field(ge=-1, le=2)]
    """Finest scale of SIFT: 0 is the photo, -1 twice its size."""
    max_image_size: PositiveInt
    """Pixels of the longer side that SIFT sees at most."""
    min_registered: Share
    """Share of the photos that must get a pose."""
    given: Literal["check", "trust"]


class ClipFeaturesParams(Section):
    """Algorithm 1: hierarchical windows and the encoder that embeds them."""

    model: str
    """open_clip model name, or the path of a model config file."""
    weights: str
    """open_clip pretrained tag, the path of a weights file, or both: TAG@FILE."""
    downscale: PositiveInt
    window_divisors: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)]
    strides_per_window: PositiveFloat
    crop_from: Literal["photo", "working"]
    views: Share
    """Of the training views; at 1 test photos get features too."""
    batch: PositiveInt


class DinoFeaturesParams(Section):
    """One forward pass per view of a self-supervised ViT."""

    model: str
    """timm model name, or the path of a file with its arguments."""
    weights: str
    """`pretrained`, or a weights file."""
    downscale: PositiveFloat
    layer: int | None
    """From 0, or from -1 backwards; None: the last."""
    final_norm: bool


class ReconstructParams(Section):
    """The radiance field (TensoRF VM decomposition) and its training."""

    space: Literal["auto", "ndc", "bounded", "contracted"]
    downscale: PositiveInt
    iterations: PositiveInt
    batch: PositiveInt
    density_ranks: Ranks
    appearance_ranks: Ranks
    appearance_dim: PositiveInt
    rgb_hidden: PositiveInt
    shading: Shading
    """What the colour head sees: the appearance vector of each sample, or their mean on a ray."""
    voxels_start: PositiveInt
    voxels_end: PositiveInt
    upsample_at: tuple[PositiveInt, ...]
    """Iterations at which the grid grows, evenly in log space, to `voxels_end`."""
    occupancy_at: tuple[PositiveInt, ...]
    """Iterations at which the occupancy grid is recomputed."""
    step_voxels: PositiveFloat
    lr_volumes: PositiveFloat
    lr_heads: PositiveFloat
    lr_decay: Share
    tv_density: Weight
    tv_appearance: Weight
    distortion: Weight
    """Weight of the term that gathers a ray's samples in one place (Mip-NeRF 360, Eq. 15)."""
    opacity_threshold: Weight
    weight_threshold: Weight


class LossWeights(Section):
    """Weights of the supervision terms (Eq. 3) and of RDA (Eq. 8)."""

    color: Weight
    feature: Weight
    rda: Weight


class RelevancyParams(Section):
    """How the target of RDA is made from the cosines of labels and pixel features."""

    normalise: Literal["scene", "view"]
    """`view`: each label stretched to [0, 1] over a view (Eq. 7); `scene`: in `ScoreUnits`."""
    bias: Annotated[float, Field(ge=0, le=1)]
    """Share of a label's score in the background that it loses; for `scene` only."""
    sharpness: PositiveFloat
    consensus: PositiveFloat | None
    scale_sharpness: Weight | None
    """Factor of a label's peaks before the softmax that weights its scales; None: as in Eq. 8."""


class FdaParams(Section):
    """Feature-Distribution Alignment (Eq. 9-14)."""

    positive: Weight
    negative: Weight
    temperature: PositiveFloat
    """Of the softmax over labels; with `units: scene` in deviations of the logits."""
    offset: Annotated[float, Field(ge=-1, le=3)]
    """Cosine that neither attracts nor repels; with `units: scene` in deviations from the mean."""
    disagreement: PositiveFloat | None
    balance: bool
    divergence: Literal["js", "kl"]


class DistillParams(Section):
    """Distillation of CLIP and DINO into the field."""

    downscale: PositiveInt
    iterations: PositiveInt
    joint_after: Annotated[int, Field(ge=0)]
    mass_kept: Share
    """Of every ray the fewest samples that hold this share of its weight are baked."""
    batch: PositiveInt
    patches: PositiveInt
    patch_tokens: PositiveInt
    head_hidden: PositiveInt
    lr_volumes: PositiveFloat
    lr_heads: PositiveFloat
    lr_volumes_joint: PositiveFloat
    lr_heads_joint: PositiveFloat
    lr_decay: Share
    templates: Annotated[tuple[str, ...], Field(min_length=1)]
    window_sigma: PositiveFloat | None
    """Of a Gaussian around a window's centre, in its sides; None: plain mean (Algorithm 1)."""
    selection: Literal["learned", "mean"] | Annotated[int, Field(ge=0)]
    """How scales are combined; an index keeps that scale alone."""
    units: Literal["scene", "none"]
    """`scene`: by mean and spread over the scene, see `calibration`; `none`: as they are."""
    losses: LossWeights
    relevancy: RelevancyParams
    fda: FdaParams


class EvaluateParams(Section):
    """Scoring of rendered views."""

    downscale: PositiveInt


class RenderParams(Section):
    """Fly-through video, labelled point cloud, label maps."""

    downscale: PositiveInt
    frames: PositiveInt
    fps: PositiveInt
    points: PositiveInt


class Preset(Section):
    """One complete set of stage sections."""

    poses: PosesParams
    clip_features: ClipFeaturesParams
    dino_features: DinoFeaturesParams
    reconstruct: ReconstructParams
    distill: DistillParams
    evaluate: EvaluateParams
    render: RenderParams

    @model_validator(mode="after")
    def _selection_is_a_scale(self) -> "Preset":
        selection, scales = self.distill.selection, len(self.clip_features.window_divisors)
        if isinstance(selection, int) and selection >= scales:
            raise ValueError(
                f"distill.selection: {selection}, but clip_features.window_divisors has {scales} "
                "values; scales count from 0"
            )
        return self


class SceneEntry(Section):
    """A scene: its preset, its held-out views and its overrides, section by section."""

    preset: str
    val_views: Views
    """Their scores steer choices; a scene without them is scored on its test views."""
    test_views: Views
    poses: dict[str, Any]
    clip_features: dict[str, Any]
    dino_features: dict[str, Any]
    reconstruct: dict[str, Any]
    distill: dict[str, Any]
    evaluate: dict[str, Any]
    render: dict[str, Any]

    @model_validator(mode="after")
    def _distinct_views(self) -> "SceneEntry":
        for key in ("val_views", "test_views"):
            views = getattr(self, key)
            if len(set(views)) != len(views):
                raise ValueError(f"{key}: names a view twice")
        if both := set(self.val_views) & set(self.test_views):
            raise ValueError(
                f"val_views: view {min(both)} is in test_views too; a view that steers choices "
                "cannot report them"
            )
        return self


class SceneParams(Section):
    """Everything that the stages of one scene read, overrides applied."""

    seed: int
    device: Device
    memory_budget: MemoryBudget
    split: Split
    preset: str
    """Name of what `stages` holds where the scene overrides nothing."""
    val_views: Views
    test_views: Views
    stages: Preset


_SHARED_KEYS = ("seed", "device", "memory_budget", "split")


def load_scene_params(path: Path, scene: str) -> SceneParams:
    """Read the parameters of one scene: its preset with the scene's overrides applied.

    Args:
        path: `params.yaml`.
        scene: a key of its `scenes` section.

    Raises:
        ParamsError: the file is missing or a key is unknown, missing or out of range; the
            message gives the dotted key, and for an unknown key the nearest known one.
    """
    document = _read(path)
    scenes = _scenes(document, path)
    if scene not in scenes:
        raise ParamsError(f"{path}: no scene '{scene}' under scenes{did_you_mean(scene, scenes)}")
    entry = _validate(SceneEntry, scenes[scene], f"{path}: scenes.{scene}")
    if entry.preset not in (presets := preset_names(path)):
        raise ParamsError(
            f"{path}: scenes.{scene}.preset is '{entry.preset}', but there is no such preset"
            f"{did_you_mean(entry.preset, presets)}"
        )
    load_preset(path, entry.preset)
    merged = {
        name: _merge(document[entry.preset][name], getattr(entry, name))
        for name in Preset.model_fields
    }
    shared = {key: document[key] for key in _SHARED_KEYS if key in document}
    stages = _validate(Preset, merged, f"{path}: scenes.{scene}")
    own = entry.model_dump(include={"preset", "val_views", "test_views"})
    return _validate(SceneParams, {**shared, **own, "stages": stages}, f"{path}: ")


def load_preset(path: Path, name: str) -> Preset:
    """Read a preset of `params.yaml` as it stands there.

    Raises:
        ParamsError: as `load_scene_params`.
    """
    return _validate(Preset, _read(path)[name], f"{path}: {name}")


def scene_names(path: Path) -> list[str]:
    """List the scenes of `params.yaml` in the order of the file."""
    return list(_scenes(_read(path), path))


def preset_names(path: Path) -> list[str]:
    """List the presets of `params.yaml` in the order of the file."""
    return [key for key in _read(path) if key not in (*_SHARED_KEYS, "scenes")]


def _read(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ParamsError(f"{path} does not exist; run from the folder that holds it") from None
    except yaml.YAMLError as error:
        raise ParamsError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise ParamsError(f"{path} must hold a mapping of sections")
    return document


def _scenes(document: dict[str, Any], path: Path) -> dict[str, Any]:
    scenes = document.get("scenes") or {}
    if not isinstance(scenes, dict):
        raise ParamsError(f"{path}: scenes must map names to settings, like 'garden: {{...}}'")
    return scenes


def _merge(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in override.items():
        nested = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merge(base[key], value) if nested else value
    return merged


def _validate(section: type[SectionType], values: Any, where: str) -> SectionType:
    try:
        return section.model_validate(values)
    except ValidationError as error:
        raise ParamsError(_one_line(section, error, where)) from None


def _one_line(section: type[Section], error: ValidationError, where: str) -> str:
    errors = error.errors()
    # A misspelt key is also missing under its right name; what is there says more.
    first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
    keys = _keys(first["loc"])
    dotted = where + (".".join(keys) if where.endswith(": ") else "".join(f".{k}" for k in keys))
    if first["type"] == "extra_forbidden":
        known = _known_keys(section, first["loc"][:-1])
        return f"{dotted}: unknown key{did_you_mean(keys[-1], known)}"
    if first["type"] == "missing":
        return f"{dotted}: missing"
    # The sections' own checks begin with the key that they are about.
    if first["type"] == "value_error":
        return f"{dotted}.{first['ctx']['error']}"
    # Every member of a union says what it wants.
    wanted = [_expected(each) for each in errors if _keys(each["loc"]) == keys]
    return f"{dotted}: expected {' or '.join(dict.fromkeys(wanted))}, got {first['input']!r}"


def _expected(error: ErrorDetails) -> str:
    wanted = _KINDS.get(error["type"].partition("_")[0])
    return wanted or re.sub("^(Input should be|Tuple should have) ", "", error["msg"])


def _keys(location: tuple[int | str, ...]) -> list[str]:
    """Return what a user can find, keys and list positions; members of unions are there too."""
    parts = map(str, location)
    return [part for part in parts if not part.startswith(("literal[", "constrained-"))]


def _known_keys(section: type[Section], location: tuple[int | str, ...]) -> list[str]:
    for key in location:
        annotation = section.model_fields[str(key)].annotation
        if isinstance(annotation, type) and issubclass(annotation, Section):
            section = annotation
    return list(section.model_fields)


def did_you_mean(name: str, known: Iterable[Any]) -> str:
    """Return what to add to a message about an unknown name: the nearest one, or all that are."""
    names = [str(key) for key in known]
    matches = difflib.get_close_matches(name, names, n=1, cutoff=0.45)
    if matches:
        return f"; did you mean '{matches[0]}'?"
    return f"; known: {', '.join(names)}" if names else ""
