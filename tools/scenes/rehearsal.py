"""Scenes to train the small models on, drawn at random: as varied as what they will meet.

Plain and pale surfaces, fine textures, things from small to close up, tables seen from the front
and from all around, landscape and portrait.
"""

import numpy as np

from tools.scenes.camera import View, orbit_view
from tools.scenes.layout import NEAREST_WALL, Area, place
from tools.scenes.spec import (
    BackgroundSpec,
    ObjectSpec,
    SceneSpec,
    Shoot,
    random_light,
    random_object,
    solid_of,
)
from tools.scenes.vocabulary import BACKGROUNDS, KINDS

FADING = ("cloth", "concrete", "marble", "carpet", "sand")
"""Backgrounds that come pale and in plain patches, too."""
LARGEST = 1.8


def rehearsal(seed: int, size: tuple[int, int], count: int) -> Shoot:
    """Draw a scene and cameras around it.

    Args:
        seed: of everything.
        size: width and height of a landscape picture; two scenes of five are portrait.
        count: number of views.
    """
    rng = np.random.default_rng((seed, 7))
    around = rng.random() < 0.4
    views = _views(size if rng.random() < 0.6 else size[::-1], count, around, rng)
    ground = str(rng.choice([name for name, words in BACKGROUNDS.items() if words.ground]))
    walls = [name for name, words in BACKGROUNDS.items() if words.wall and name != ground]
    scene = SceneSpec(
        seed=seed,
        objects=_objects(views, around, rng),
        ground=_background(ground, "ground", rng),
        wall=_background(str(rng.choice(walls)), "wall", rng),
        wall_distance=float(rng.uniform(8, 9.5) if around else rng.uniform(2.6, 3.5)),
        light=random_light(rng, (55, 70), (0.6, 0.8)) if around else random_light(rng),
        enclosed=around,
    )
    return Shoot(scene=scene, views=tuple(views), masked=())


def _views(size: tuple[int, int], count: int, around: bool, rng: np.random.Generator) -> list[View]:
    width = 180 if around else 24
    return [
        orbit_view(
            size,
            azimuth=rng.uniform(-width, width),
            pitch=rng.uniform(17, 38),
            distance=rng.uniform(5.2, 8.4),
            shift=tuple(rng.uniform(-0.3, 0.3, 3)),
            roll=rng.normal(0, 1.5),
            aside=0.0 if around else rng.uniform(-1.2, 1.2),
        )
        for _ in range(count)
    ]


def _objects(views: list[View], around: bool, rng: np.random.Generator) -> tuple[ObjectSpec, ...]:
    """Draw things of one common size range, several of a kind at times, all labels different."""
    typical = float(np.exp(rng.uniform(np.log(0.55), np.log(1.5))))
    count = int(rng.integers(4, 8) if typical > 1 else rng.integers(6, 13))
    kinds = [str(kind) for kind in rng.permutation(list(KINDS))[:count]]
    if rng.random() < 0.4:
        kinds[: count // 3] = kinds[:1] * (count // 3)
    scales = np.minimum(typical * rng.uniform(0.75, 1.3, count), LARGEST).tolist()
    reach = 3.6 if around else np.inf
    area = Area(
        x=(-3.4, 3.4),
        y=(-2.8, 2.8 if around else NEAREST_WALL - 0.2),
        reach=reach,
        hidden=9.0 if around else 0.7,
        everywhere=False,
    )
    spots = place([solid_of(*pair) for pair in zip(kinds, scales, strict=True)], rng, area, views)
    drawn: dict[str, ObjectSpec] = {}
    for kind, scale, spot in zip(kinds, scales, spots, strict=True):
        if spot is not None:
            thing = random_object(kind, scale, spot, rng)
            drawn.setdefault(thing.label, thing)
    return tuple(drawn.values())


def _background(kind: str, role: str, rng: np.random.Generator) -> BackgroundSpec:
    fading = kind in FADING
    return BackgroundSpec(
        kind,
        role,
        int(rng.integers(1 << 30)),
        fineness=float(rng.uniform(0.8, 1.8)) if rng.random() < 0.5 else 1.0,
        contrast=float(rng.uniform(0.3, 1.0)) if fading and rng.random() < 0.5 else 1.0,
        plain=float(rng.uniform(0.3, 0.7)) if fading and rng.random() < 0.35 else 0.0,
    )
