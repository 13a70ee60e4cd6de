"""What a scene is made of: an explicit description, drawn at random or written by hand."""

from dataclasses import dataclass

import numpy as np

from tools.scenes.camera import View
from tools.scenes.layout import NEAREST_WALL, Solid, place
from tools.scenes.vocabulary import BACKGROUNDS, KINDS, background_label, object_label

UNNAMED = 255
"""The number of what no label names, in label maps."""


@dataclass(frozen=True)
class ObjectSpec:
    """One object: what it is, where it stands (scene units) and how it is turned (degrees)."""

    kind: str
    color: str
    pattern: str
    x: float
    y: float
    yaw: float
    scale: float
    texture_seed: int
    roughness: float = 0.5

    @property
    def label(self) -> str:
        """The usual phrase for the object."""
        return object_label(self.kind, self.color, self.pattern)


@dataclass(frozen=True)
class BackgroundSpec:
    """The surface of the table ("ground") or of the wall behind it ("wall").

    Its texture is finer by `fineness` and paler with less `contrast`; `plain` (0..1) is about the
    share of it that has next to none, in large patches.
    """

    kind: str
    role: str
    texture_seed: int
    fineness: float = 1.0
    contrast: float = 1.0
    plain: float = 0.0

    @property
    def label(self) -> str:
        """The usual phrase for the background in its role."""
        return background_label(self.kind, self.role)


@dataclass(frozen=True)
class LightSpec:
    """A soft key light (direction in degrees, warmth in -1..1) over an even ambient light."""

    azimuth: float
    elevation: float
    strength: float
    warmth: float
    ambient: float
    softness: float


@dataclass(frozen=True)
class SceneSpec:
    """A whole scene; labels are numbered from 1, those of objects first, then ground and wall.

    Several objects may share a label; that of `unnamed` things is not among the scene's labels.
    The wall stands behind the objects, or, if `enclosed`, on all four sides.
    """

    seed: int
    objects: tuple[ObjectSpec, ...]
    ground: BackgroundSpec
    wall: BackgroundSpec
    wall_distance: float
    light: LightSpec
    enclosed: bool = False
    unnamed: tuple[ObjectSpec, ...] = ()

    @property
    def entities(self) -> tuple[ObjectSpec | BackgroundSpec, ...]:
        """All entities that have a label, in label order."""
        return (*self.objects, self.ground, self.wall)

    @property
    def labels(self) -> tuple[str, ...]:
        """The distinct labels; the first has number 1."""
        return tuple(dict.fromkeys(entity.label for entity in self.entities))

    def number(self, entity: ObjectSpec | BackgroundSpec) -> int:
        """Return the number of the entity's label, or UNNAMED if the scene lacks it."""
        labels = self.labels
        return labels.index(entity.label) + 1 if entity.label in labels else UNNAMED


@dataclass(frozen=True)
class Shoot:
    """A scene and its cameras; those in `masked` get exact masks."""

    scene: SceneSpec
    views: tuple[View, ...]
    masked: tuple[int, ...]


def describe(scene: SceneSpec) -> list[dict[str, object]]:
    """Return one record per entity, as written to scene.json."""
    records: list[dict[str, object]] = []
    for entity in scene.entities:
        thing = entity if isinstance(entity, ObjectSpec) else None
        records.append(
            {
                "index": scene.number(entity),
                "type": "object" if thing else "background",
                "kind": entity.kind,
                "color": thing.color if thing else None,
                "pattern": thing.pattern if thing else None,
                "role": None if isinstance(entity, ObjectSpec) else entity.role,
                "label": entity.label,
            }
        )
    return records


def random_light(
    rng: np.random.Generator,
    elevation: tuple[float, float] = (38, 70),
    ambient: tuple[float, float] = (0.35, 0.6),
) -> LightSpec:
    """Draw a light from the camera's half of the sky."""
    return LightSpec(
        azimuth=float(rng.uniform(-70, 70)),
        elevation=float(rng.uniform(*elevation)),
        strength=float(rng.uniform(0.75, 1.2)),
        warmth=float(rng.uniform(-1, 1)),
        ambient=float(rng.uniform(*ambient)),
        softness=float(rng.uniform(2.0, 5.0)),
    )


def solid_of(kind: str, scale: float) -> Solid:
    """Return the room that an object of a kind takes at a scale."""
    return Solid(KINDS[kind].radius * scale, KINDS[kind].height * scale)


def random_object(
    kind: str, scale: float, spot: tuple[float, float], rng: np.random.Generator
) -> ObjectSpec:
    """Draw the paint and the turn of an object that stands at a spot."""
    words = KINDS[kind]
    plain = len(words.patterns) == 1 or rng.random() < 0.45
    return ObjectSpec(
        kind=kind,
        color=str(rng.choice(words.colors)),
        pattern="plain" if plain else str(rng.choice(words.patterns[1:])),
        x=spot[0],
        y=spot[1],
        yaw=float(rng.uniform(-1, 1)) * words.turn,
        scale=float(scale),
        texture_seed=int(rng.integers(1 << 30)),
        roughness=float(rng.uniform(0.35, 0.7)),
    )


def random_spec(seed: int) -> SceneSpec:
    """Draw a scene: mostly 5 to 7 objects of different kinds on one background before another."""
    rng = np.random.default_rng(seed)
    kinds = list(rng.permutation(list(KINDS))[: rng.integers(5, 9)])
    scales = rng.uniform(0.78, 1.12, len(kinds))
    spots = place([solid_of(*pair) for pair in zip(kinds, scales, strict=True)], rng)
    objects = tuple(
        random_object(kind, scale, spot, rng)
        for kind, scale, spot in zip(kinds, scales, spots, strict=True)
        if spot is not None
    )
    ground = str(rng.choice([name for name, words in BACKGROUNDS.items() if words.ground]))
    wall = str(
        rng.choice([name for name, words in BACKGROUNDS.items() if words.wall and name != ground])
    )
    return SceneSpec(
        seed=seed,
        objects=objects,
        ground=BackgroundSpec(ground, "ground", int(rng.integers(1 << 30))),
        wall=BackgroundSpec(wall, "wall", int(rng.integers(1 << 30))),
        wall_distance=float(rng.uniform(NEAREST_WALL, 3.3)),
        light=random_light(rng),
    )
