"""The parameters of `params.yaml`, put together from the sections of all rooms, and checked.

`params.yaml` is the only source of numbers; the sections say what they must be.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from ovs3d.distill.params import DistillParams
from ovs3d.errors import ParamsError, did_you_mean
from ovs3d.evaluation.params import EvaluateParams
from ovs3d.exports.params import RenderParams
from ovs3d.features.clip_params import ClipFeaturesParams
from ovs3d.features.dino_params import DinoFeaturesParams
from ovs3d.language.params import LiftParams
from ovs3d.poses.params import PosesParams
from ovs3d.reconstruct.params import ReconstructParams
from ovs3d.sections import Device, PositiveFloat, Section, Split, override

Views = tuple[Annotated[int, Field(ge=0)], ...]
"""Indices of photos, sorted by name."""
MemoryBudget = Literal["auto"] | PositiveFloat
"""In 10^9 bytes."""
SectionType = TypeVar("SectionType", bound=Section)
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "string": "a word",
    "tuple": "a list",
    "dict": "a section of keys",
    "model": "a section of keys",
}
"""First word of pydantic's name of an error -> what it wants."""


class Preset(Section):
    """One complete set of stage sections."""

    poses: PosesParams
    clip_features: ClipFeaturesParams
    dino_features: DinoFeaturesParams
    reconstruct: ReconstructParams
    lift: LiftParams
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
    """Name of the preset that the scene takes its values from."""
    val_views: Views
    """Photos, counted from 0 in the order of their names, whose scores steer choices; they stand in
    `metrics.json`. A scene without them is scored on its test views."""
    test_views: Views
    """Photos whose scores are only reported, in `test.json`. With `split: held_out`, no stage
    trains on views of either list."""
    poses: dict[str, Any]
    clip_features: dict[str, Any]
    dino_features: dict[str, Any]
    reconstruct: dict[str, Any]
    lift: dict[str, Any]
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
    """Seed of all random choices: structure from motion, windows, initial values, rays, patches.
    The same seed gives the same bytes on the same machine."""
    device: Device
    """Where stages compute. `auto`: on a CUDA GPU where there is one, else on the CPU."""
    memory_budget: MemoryBudget
    """Memory in 10^9 bytes that distillation may take for what it reads again and again; the rest
    is read from disk. `auto`: half of what is free. No result depends on it."""
    split: Split
    """Which views are trained on. `held_out`: none of `val_views` and `test_views`; `paper`: all,
    as by the paper's released code."""
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
    if entry.preset not in (presets := _presets(document)):
        raise ParamsError(
            f"{path}: scenes.{scene}.preset is '{entry.preset}', but there is no such preset"
            f"{did_you_mean(entry.preset, presets)}"
        )
    _preset(document, entry.preset, path)
    merged = {
        name: override(document[entry.preset][name], getattr(entry, name))
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
    return _preset(_read(path), name, path)


def scene_names(path: Path) -> list[str]:
    """List the scenes of `params.yaml` in the order of the file."""
    return list(_scenes(_read(path), path))


def preset_names(path: Path) -> list[str]:
    """List the presets of `params.yaml` in the order of the file."""
    return _presets(_read(path))


def _read(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(f"{path} does not exist; run from the folder that holds it") from None
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, LookupError) as error:
        raise ParamsError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise ParamsError(f"{path} must hold a mapping of sections")
    return document


def _presets(document: dict[str, Any]) -> list[str]:
    return [key for key in document if key not in (*_SHARED_KEYS, "scenes")]


def _preset(document: dict[str, Any], name: str, path: Path) -> Preset:
    return _validate(Preset, document[name], f"{path}: {name}")


def _scenes(document: dict[str, Any], path: Path) -> dict[str, Any]:
    scenes = document.get("scenes") or {}
    if not isinstance(scenes, dict):
        raise ParamsError(f"{path}: scenes must map names to settings, like 'garden: {{...}}'")
    return scenes


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
