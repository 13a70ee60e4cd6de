"""Draws whole scenes with their cameras from a seed and a few wishes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

import numpy as np

from tools.scenes.camera import PITCH, View, ring, sweep
from tools.scenes.darkroom import Darkroom
from tools.scenes.layout import Area, place
from tools.scenes.spec import (
    BackgroundSpec,
    ObjectSpec,
    SceneSpec,
    Shoot,
    random_light,
    random_object,
    solid_of,
)
from tools.scenes.vocabulary import BRIGHT, KINDS

SWEEP_VIEWS, RING_VIEWS = 24, 36
HELD_OUT_VIEWS = 7
WIDE, TALL = (480, 360), (360, 480)
WALL_GAP = 0.3
AREA = Area(hidden=0.35)


@dataclass(frozen=True)
class Recipe:
    """One scene: how many of what, on what, seen how. Its name begins with its split.

    `labels` counts those of objects; the first `alike` of them are all of the kind `alike_kind`
    and differ in colour or pattern only. `copies` are further instances of labels, `unnamed`
    things have none. Sweeps turn and travel; rings, if `around`, have two heights.
    """

    name: str
    seed: int
    labels: int
    ground: BackgroundSpec
    wall: BackgroundSpec
    darkroom: Darkroom
    around: bool = False
    size: tuple[int, int] = WIDE
    alike: int = 0
    alike_kind: str = ""
    copies: int = 0
    unnamed: int = 0
    kinds: tuple[str, ...] = tuple(KINDS)
    scales: tuple[float, float] = (0.78, 1.12)
    area: Area = AREA
    distance: float = 7.4
    pitch: float = PITCH
    turn: float = 15.0
    travel: float = 0.0
    pitches: tuple[float, float] = (20.0, 30.0)
    wall_distance: float = 2.9

    @property
    def split(self) -> str:
        """The half that the scene belongs to: "dev" or "test"."""
        return self.name.partition("_")[0]

    @property
    def held_out(self) -> tuple[int, ...]:
        """The views with masks, evenly spread."""
        count = RING_VIEWS if self.around else SWEEP_VIEWS
        return tuple(int((k + 0.5) * count / HELD_OUT_VIEWS) for k in range(HELD_OUT_VIEWS))

    @property
    def test_views(self) -> tuple[int, ...]:
        """The views to report on."""
        return self.held_out[::2]

    @property
    def val_views(self) -> tuple[int, ...]:
        """The views to choose by."""
        return self.held_out[1::2]

    def views(self) -> tuple[View, ...]:
        """Return the cameras."""
        if self.around:
            views = ring(
                self.size, RING_VIEWS, self.seed, pitches=self.pitches, distance=self.distance
            )
        else:
            views = sweep(
                self.size,
                SWEEP_VIEWS,
                self.seed,
                pitch=self.pitch,
                distance=self.distance,
                turn=self.turn,
                travel=self.travel,
            )
        return tuple(views)


@cache
def shoot(recipe: Recipe) -> Shoot:
    """Draw the scene of a recipe and return it with its cameras."""
    rng = np.random.default_rng(recipe.seed)
    kinds = _draw_kinds(recipe, rng)
    scales = rng.uniform(*recipe.scales, len(kinds)).tolist()
    spots = _draw_spots(recipe, kinds, scales, rng)
    objects = list(_draw_objects(recipe, kinds, scales, spots, rng))
    named = recipe.labels + recipe.copies
    scene = SceneSpec(
        seed=recipe.seed,
        objects=tuple(objects[:named]),
        ground=recipe.ground,
        wall=recipe.wall,
        wall_distance=recipe.wall_distance,
        # A light that stands low behind one side of a ring would leave the other side dark.
        light=random_light(rng, (60, 70), (0.65, 0.8)) if recipe.around else random_light(rng),
        enclosed=recipe.around,
        unnamed=tuple(objects[named:]),
    )
    return Shoot(scene=scene, views=recipe.views(), masked=recipe.held_out)


def _draw_kinds(recipe: Recipe, rng: np.random.Generator) -> list[str]:
    """Draw the kinds of labels, then of their copies, then of unnamed things."""
    others = [kind for kind in recipe.kinds if kind != recipe.alike_kind]
    single = [str(kind) for kind in rng.permutation(others)]
    labels = [*([recipe.alike_kind] * recipe.alike), *single][: recipe.labels]
    copies = [labels[index] for index in rng.permutation(recipe.labels)[: recipe.copies]]
    rest = [str(kind) for kind in rng.permutation(list(KINDS)) if kind not in labels]
    return [*labels, *copies, *rest[: recipe.unnamed]]


def _draw_spots(
    recipe: Recipe, kinds: list[str], scales: list[float], rng: np.random.Generator
) -> list[tuple[float, float]]:
    """Draw where the objects stand; the largest choose first."""
    solids = [solid_of(kind, scale) for kind, scale in zip(kinds, scales, strict=True)]
    order = sorted(range(len(kinds)), key=lambda index: -solids[index].radius)
    views = recipe.views()
    checked = views[::6] if recipe.around else (views[0], views[len(views) // 2], views[-1])
    area = replace(recipe.area, back=recipe.wall_distance - WALL_GAP)
    found = place([solids[index] for index in order], rng, area, checked)
    spots = {index: spot for index, spot in zip(order, found, strict=True) if spot is not None}
    if len(spots) < len(kinds):
        raise RuntimeError(f"{recipe.name}: room for {len(spots)} of {len(kinds)} objects only")
    return [spots[index] for index in range(len(kinds))]


def _draw_objects(
    recipe: Recipe,
    kinds: list[str],
    scales: list[float],
    spots: list[tuple[float, float]],
    rng: np.random.Generator,
) -> Iterator[ObjectSpec]:
    """Draw the paints; copies are painted like the first of their kind."""
    alike = _draw_alike(recipe, rng)
    first: dict[str, ObjectSpec] = {}
    for number, (kind, scale, spot) in enumerate(zip(kinds, scales, spots, strict=True)):
        drawn = random_object(kind, scale, spot, rng)
        if number < len(alike):
            color, pattern = alike[number]
            drawn = replace(drawn, color=color, pattern=pattern)
        elif kind in first:
            drawn = replace(drawn, color=first[kind].color, pattern=first[kind].pattern)
        first.setdefault(kind, drawn)
        yield drawn


def _draw_alike(recipe: Recipe, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Draw two colours, each plain and in one pattern, for labels that differ in them only."""
    if not recipe.alike:
        return []
    colors = [str(color) for color in rng.permutation(BRIGHT)[:2]]
    pattern = str(rng.choice(KINDS[recipe.alike_kind].patterns[1:]))
    return list(product(colors, ("plain", pattern)))[: recipe.alike]
