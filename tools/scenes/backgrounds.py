"""Surfaces of table and wall: irregular procedural textures, no two places alike."""

from collections.abc import Callable

import bpy
import numpy as np

from tools.scenes.nodes import Graph, Socket, linear
from tools.scenes.spec import BackgroundSpec

Texture = Callable[[Graph, int], Socket]

MEANS = {
    "cloth": ("#6a80a0", "#a26a74", "#93917c"),
    "concrete": ("#94928c", "#a89e90", "#858d95"),
    "marble": ("#c0bcb6", "#44685a", "#c4a494"),
    "carpet": ("#7e3a30", "#5c5f5c", "#7a4a66"),
    "sand": ("#bc9c6c", "#ac967a", "#b88556"),
}
"""The middle colours of the textures that may be faded, one for each variant."""
PLAIN_CONTRAST = 0.06
"""What is left of the contrast in plain patches."""


def _wood(graph: Graph, variant: int) -> Socket:
    """Planks with grain along x."""
    dark, mid, light = (
        ("#4a2a14", "#8a5a2e", "#b98650"),
        ("#5b4630", "#9a7c58", "#c4a67e"),
        ("#33190f", "#6d3a20", "#955a36"),
    )[variant]
    warped = graph.wobble(1.2, 0.25)
    grain = graph.noise(1.0, detail=3.0, at=graph.stretch((1.3, 9.0, 4.0), warped))
    color = graph.ramp(grain, (0.3, dark), (0.5, mid), (0.7, light))
    color = graph.shade(color, graph.noise(15.0, detail=2.0), 0.78, 1.18)
    planks = graph.bricks(graph.position, 4.3, 0.9, offset=0.37)
    planks.inputs["Mortar Size"].default_value = 0.018
    color = graph.shade(color, planks.outputs["Color"], 0.86, 1.12)
    knots = graph.cells(0.9, graph.stretch((0.6, 1.2, 1.0), warped)).outputs["Distance"]
    color = graph.mix(graph.step(knots, 0.16, 0.03), color, linear(dark))
    return graph.mix(planks.outputs["Factor"], color, linear("#22140c"))


def _brick(graph: Graph, variant: int) -> Socket:
    """Rows of uneven bricks in pale mortar."""
    dark, light = (("#7c2f20", "#b9603f"), ("#8a6a45", "#c8a878"), ("#5c4a46", "#94807a"))[variant]
    bricks = graph.bricks(graph.wobble(1.7, 0.09), 0.86, 0.33, offset=0.5)
    bricks.inputs["Mortar Size"].default_value = 0.035
    bricks.inputs["Mortar Smooth"].default_value = 0.25
    color = graph.mix(bricks.outputs["Color"], linear(dark), linear(light))
    color = graph.shade(color, graph.noise(7.0, detail=3.0), 0.6, 1.3)
    mortar = graph.shade(linear("#aaa296"), graph.noise(9.0), 0.75, 1.1)
    return graph.mix(bricks.outputs["Factor"], color, mortar)


def _grass(graph: Graph, variant: int) -> Socket:
    """Blades in two directions over patches of lighter and darker lawn."""
    dark, mid, light = (
        ("#17330d", "#3d7020", "#86b040"),
        ("#1f3312", "#55702a", "#a3a84e"),
        ("#0f2e16", "#2c6a34", "#6aa552"),
    )[variant]
    warped = graph.wobble(2.0, 0.5)
    first = graph.noise(1.0, at=graph.stretch((16.0, 5.0, 8.0), warped))
    second = graph.noise(1.0, at=graph.stretch((5.0, 14.0, 8.0), warped))
    blades = graph.math("MAXIMUM", first, second)
    color = graph.ramp(blades, (0.42, dark), (0.56, mid), (0.72, light))
    return graph.shade(color, graph.noise(1.1), 0.75, 1.2)


def _cloth(graph: Graph, variant: int) -> Socket:
    """An irregular plaid in three colours."""
    base, band, line = (
        ("#35507c", "#93a8c4", "#d8c8a0"),
        ("#7c3440", "#c4929a", "#e0d4c0"),
        ("#6a6a58", "#b8b498", "#4c4a58"),
    )[variant]
    warped = graph.wobble(1.5, 0.1)
    across = graph.noise(1.0, detail=2.0, at=graph.stretch((2.6, 0.02, 0.02), warped))
    along = graph.noise(1.0, detail=2.0, at=graph.stretch((0.02, 2.6, 0.02), warped))
    color = graph.mix(graph.step(across, 0.47, 0.53), linear(base), linear(band))
    color = graph.mix(
        graph.math("MULTIPLY", graph.step(along, 0.48, 0.54), 0.55), color, linear(line)
    )
    weave = graph.noise(14.0, detail=2.0, at=warped)
    return graph.shade(color, weave, 0.62, 1.25)


def _pebbles(graph: Graph, variant: int) -> Socket:
    """Rounded stones of many greys and browns with dark gaps."""
    colors = (
        ("#6a625a", "#b5aa9a", "#8c6e56"),
        ("#5a626a", "#a4aab0", "#d0ccc4"),
        ("#7a5c44", "#c0a684", "#8e8880"),
    )[variant]
    warped = graph.wobble(3.0, 0.12)
    stones = graph.cells(3.3, warped)
    gaps = graph.cells(3.3, warped, edges=True).outputs["Distance"]
    red = graph.vector("DOT_PRODUCT", stones.outputs["Color"], (1.0, 0.0, 0.0))
    color = graph.ramp(red, (0.1, colors[0]), (0.5, colors[1]), (0.9, colors[2]))
    color = graph.shade(color, graph.noise(10.0, detail=3.0), 0.72, 1.2)
    return graph.mix(graph.step(gaps, 0.16, 0.02), color, linear("#241f1b"))


def _tiles(graph: Graph, variant: int) -> Socket:
    """Square glazed tiles, each of its own shade."""
    dark, light = (("#2f6f86", "#a8d0d0"), ("#9a5a34", "#e0b080"), ("#5c7a58", "#ccd8b8"))[variant]
    tiles = graph.bricks(graph.wobble(1.1, 0.05), 0.8, 0.8, offset=0.0)
    tiles.inputs["Mortar Size"].default_value = 0.03
    color = graph.mix(tiles.outputs["Color"], linear(dark), linear(light))
    color = graph.shade(color, graph.noise(5.0, detail=4.0), 0.6, 1.3)
    grout = graph.shade(linear("#d4cfc4"), graph.noise(8.0), 0.7, 1.05)
    return graph.mix(tiles.outputs["Factor"], color, grout)


def _sand(graph: Graph, variant: int) -> Socket:
    """Wind ripples with scattered darker grains."""
    dark, light = (("#a07c4c", "#e2c794"), ("#8c7458", "#d6c0a0"), ("#9c6a42", "#dca878"))[variant]
    ripples = graph.noise(
        1.0, detail=2.0, at=graph.stretch((1.1, 5.0, 1.0), graph.wobble(1.0, 0.7))
    )
    color = graph.ramp(ripples, (0.3, dark), (0.68, light))
    color = graph.shade(color, graph.noise(15.0, detail=2.0), 0.78, 1.15)
    grains = graph.cells(7.0).outputs["Distance"]
    return graph.mix(graph.step(grains, 0.17, 0.1), color, linear("#5c452c"))


def _carpet(graph: Graph, variant: int) -> Socket:
    """A rug of curly ornaments and short pile."""
    base, curl, spot = (
        ("#6e1c22", "#c08a4a", "#23304e"),
        ("#23405c", "#b0a070", "#7a2c34"),
        ("#4c2a52", "#b4708c", "#d0b068"),
    )[variant]
    warped = graph.wobble(1.6, 0.7)
    rings = graph.math(
        "SINE", graph.math("MULTIPLY", graph.noise(1.5, detail=1.0, at=warped), 44.0)
    )
    color = graph.mix(graph.step(rings, 0.35, 0.6), linear(base), linear(curl))
    spots = graph.cells(2.2, warped).outputs["Distance"]
    color = graph.mix(graph.step(spots, 0.26, 0.2), color, linear(spot))
    return graph.shade(color, graph.noise(17.0, detail=2.0), 0.6, 1.3)


def _concrete(graph: Graph, variant: int) -> Socket:
    """Stained grey plaster with pits and cracks."""
    dark, light = (("#77756f", "#bab8b0"), ("#8a8276", "#cfc6b4"), ("#68707a", "#a8b0b8"))[variant]
    stains = graph.noise(1.6, detail=5.0)
    color = graph.ramp(stains, (0.35, dark), (0.65, light))
    color = graph.shade(color, graph.noise(12.0, detail=3.0), 0.72, 1.18)
    cracks = graph.cells(0.75, graph.wobble(2.2, 0.5), edges=True).outputs["Distance"]
    color = graph.mix(graph.step(cracks, 0.02, 0.005), color, linear("#3c3a36"))
    pits = graph.cells(4.5).outputs["Distance"]
    return graph.mix(graph.step(pits, 0.12, 0.07), color, linear("#4a4844"))


def _marble(graph: Graph, variant: int) -> Socket:
    """Polished stone with winding veins."""
    base, cloud, vein = (
        ("#dcd8d2", "#aaa69e", "#5c5854"),
        ("#2c4a40", "#4e7a68", "#c0ccb8"),
        ("#b89484", "#d8bcaa", "#6a3c34"),
    )[variant]
    warped = graph.wobble(1.1, 1.0)
    clouds = graph.noise(2.2, detail=4.0, at=warped)
    color = graph.ramp(clouds, (0.35, base), (0.65, cloud))
    ridge = graph.math(
        "ABSOLUTE", graph.math("SUBTRACT", graph.noise(1.7, detail=4.0, at=warped), 0.5)
    )
    color = graph.mix(graph.step(ridge, 0.035, 0.004), color, linear(vein))
    return graph.shade(color, graph.noise(13.0, detail=2.0), 0.82, 1.1)


TEXTURES: dict[str, Texture] = {
    "wood": _wood,
    "brick": _brick,
    "grass": _grass,
    "cloth": _cloth,
    "pebbles": _pebbles,
    "tiles": _tiles,
    "sand": _sand,
    "carpet": _carpet,
    "concrete": _concrete,
    "marble": _marble,
}


def surface(spec: BackgroundSpec) -> bpy.types.Material:
    """Build the material of a background; its seed picks the colours and the place in it."""
    rng = np.random.default_rng(spec.texture_seed)
    offset = [float(value) for value in rng.uniform(-30, 30, 3)]
    graph = Graph(spec.kind, offset, spec.fineness)
    variant = int(rng.integers(3))
    color = TEXTURES[spec.kind](graph, variant)
    if spec.contrast < 1 or spec.plain:
        color = _fade(graph, color, spec, linear(MEANS[spec.kind][variant]))
    return graph.finish(color, roughness=0.75)


def _fade(
    graph: Graph, color: Socket, spec: BackgroundSpec, mean: tuple[float, float, float, float]
) -> Socket:
    """Blend a texture with its mean colour: a little everywhere, almost fully in plain patches."""
    kept: Socket | float = spec.contrast
    if spec.plain:
        # This noise is roughly normal: half of it below 0.5, and next to all of it in 0.3..0.7.
        edge = 0.3 + 0.4 * spec.plain
        patches = graph.step(graph.noise(0.3, detail=1.0), edge - 0.01, edge + 0.01)
        kept = graph.math("MULTIPLY", graph.math("MAXIMUM", patches, PLAIN_CONTRAST), kept)
    return graph.mix(kept, mean, color)
