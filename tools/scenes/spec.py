"""What a scene is made of: an explicit description, drawn at random or written by hand."""

from dataclasses import dataclass

import numpy as np

from tools.scenes.camera import View
from tools.scenes.layout import NEAREST_WALL, Solid, place
from tools.scenes.vocabulary import BACKGROUNDS, KINDS, background_label, object_label


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
    """The surface of the table ("ground") or of the wall behind it ("wall")."""

    kind: str
    role: str
    texture_seed: int

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
    """A whole scene; entities are numbered from 1, objects first, then ground and wall.

    The wall stands behind the objects, or, if `enclosed`, on all four sides.
    """

    seed: int
    objects: tuple[ObjectSpec, ...]
    ground: BackgroundSpec
    wall: BackgroundSpec
    wall_distance: float
    light: LightSpec
    enclosed: bool = False

    @property
    def entities(self) -> tuple[ObjectSpec | BackgroundSpec, ...]:
        """All entities in label order: the first has index 1."""
        return (*self.objects, self.ground, self.wall)


@dataclass(frozen=True)
class Shoot:
    """A scene and its cameras; those in `masked` get exact masks."""

    scene: SceneSpec
    views: tuple[View, ...]
    masked: tuple[int, ...]


def describe(scene: SceneSpec) -> list[dict[str, object]]:
    """Return one record per entity, as written to scene.json."""
    records: list[dict[str, object]] = []
    for index, entity in enumerate(scene.entities, start=1):
        is_object = isinstance(entity, ObjectSpec)
        records.append(
            {
                "index": index,
                "type": "object" if is_object else "background",
                "kind": entity.kind,
                "color": entity.color if is_object else None,
                "pattern": entity.pattern if is_object else None,
                "role": None if is_object else entity.role,
                "label": entity.label,
            }
        )
    return records


def random_light(rng: np.random.Generator) -> LightSpec:
    """Draw a light from the camera's half of the sky."""
    return LightSpec(
        azimuth=float(rng.uniform(-70, 70)),
        elevation=float(rng.uniform(38, 70)),
        strength=float(rng.uniform(0.75, 1.2)),
        warmth=float(rng.uniform(-1, 1)),
        ambient=float(rng.uniform(0.35, 0.6)),
        softness=float(rng.uniform(2.0, 5.0)),
    )


def random_spec(seed: int) -> SceneSpec:
    """Draw a scene: mostly 5 to 7 objects of different kinds on one background before another."""
    rng = np.random.default_rng(seed)
    kinds = list(rng.permutation(list(KINDS))[: rng.integers(5, 9)])
    scales = rng.uniform(0.78, 1.12, len(kinds))
    solids = [
        Solid(KINDS[kind].radius * scale, KINDS[kind].height * scale)
        for kind, scale in zip(kinds, scales, strict=True)
    ]
    objects = []
    for kind, scale, spot in zip(kinds, scales, place(solids, rng), strict=True):
        if spot is None:
            continue
        words = KINDS[kind]
        plain = len(words.patterns) == 1 or rng.random() < 0.45
        objects.append(
            ObjectSpec(
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
        )
    ground = str(rng.choice([name for name, words in BACKGROUNDS.items() if words.ground]))
    wall = str(
        rng.choice([name for name, words in BACKGROUNDS.items() if words.wall and name != ground])
    )
    return SceneSpec(
        seed=seed,
        objects=tuple(objects),
        ground=BackgroundSpec(ground, "ground", int(rng.integers(1 << 30))),
        wall=BackgroundSpec(wall, "wall", int(rng.integers(1 << 30))),
        wall_distance=float(rng.uniform(NEAREST_WALL, 3.3)),
        light=random_light(rng),
    )
