"""Paints of the objects: coloured patterns and the accents of single parts."""

import bpy
import numpy as np

from tools.scenes.nodes import Graph, Socket, linear
from tools.scenes.solids import MAIN
from tools.scenes.spec import ObjectSpec
from tools.scenes.vocabulary import COLORS

ACCENTS = {
    "dark": "#2a2a2c",
    "brown": "#5e3a20",
    "leaf": "#2f7a2c",
    "cream": "#e6dbbd",
    "tan": "#c98f4e",
    "metal": "#8c9096",
    "glass": "#86b4cc",
    "white": "#e8e6e2",
    "orange": "#ee7d12",
    "flame": "#ffb73a",
}
STRIPE_AXIS = {
    "book": (1.0, 0.35, 0.2),
    "bowl": (0.25, 0.1, 1.2),
    "candle": (0.5, 0.3, 0.8),
}


def second_srgb(color: str) -> str:
    """Return the companion of a main colour in patterns: near-white, or dark on white."""
    return "#3a3a40" if color == "white" else "#e6e2d8"


def _pattern(graph: Graph, spec: ObjectSpec) -> Socket:
    """Return the mask of the pattern's second colour."""
    place = graph.wobble(2.5, 0.05)
    if spec.pattern == "striped":
        axis = STRIPE_AXIS.get(spec.kind, (0.3, 0.15, 0.94))
        along = graph.vector("DOT_PRODUCT", place, axis)
        return graph.step(graph.math("SINE", graph.math("MULTIPLY", along, 21.0)), -0.1, 0.1)
    if spec.pattern == "dotted":
        distance = graph.cells(4.3, place).outputs["Distance"]
        return graph.step(distance, 0.36, 0.32)
    checks = graph.node("TexChecker", Vector=place, Scale=4.2)
    return checks.outputs["Factor"]


def paint(slot: str, spec: ObjectSpec) -> bpy.types.Material:
    """Build the material of one slot of an object, with mild mottling as image texture."""
    offset = np.random.default_rng(spec.texture_seed).uniform(-20, 20, 3)
    graph = Graph(f"{spec.kind} {slot}", [float(value) for value in offset])
    if slot == MAIN:
        color: Socket | tuple[float, ...] = linear(COLORS[spec.color].srgb)
        if spec.pattern != "plain":
            color = graph.mix(_pattern(graph, spec), color, linear(second_srgb(spec.color)))
    elif slot == "contrast":
        color = linear(second_srgb(spec.color))
    else:
        color = linear(ACCENTS[slot])
    coarse = graph.shade(color, graph.noise(5.0), 0.78, 1.12)
    mottled = graph.shade(coarse, graph.noise(19.0, detail=1.0), 0.72, 1.18)
    metallic = 0.35 if slot == "metal" else 0.0
    return graph.finish(
        mottled,
        roughness=spec.roughness,
        metallic=metallic,
        glow=1.2 if slot == "flame" else 0.0,
    )
