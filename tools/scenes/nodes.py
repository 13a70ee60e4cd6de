"""A short notation for Blender's shader node graphs."""

from collections.abc import Sequence
from typing import TypeAlias

import bpy

Socket: TypeAlias = bpy.types.NodeSocket
Value: TypeAlias = Socket | float | Sequence[float]


def linear(srgb: str) -> tuple[float, float, float, float]:
    """Convert a colour "#rrggbb" to the linear RGBA that shaders expect."""
    parts = [int(srgb[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return red, green, blue, 1.0


class Graph:
    """A material under construction; each method adds one node and returns its output."""

    def __init__(self, name: str, offset: Sequence[float], fineness: float = 1.0) -> None:
        """Start a material whose texture space is the object's own, scaled, then shifted."""
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.tree = self.material.node_tree
        coordinates = self.tree.nodes.new("ShaderNodeTexCoord").outputs["Object"]
        if fineness != 1.0:
            coordinates = self.vector("SCALE", coordinates, fineness)
        self.position = self.vector("ADD", coordinates, offset)

    def node(self, kind: str, **inputs: Value) -> bpy.types.Node:
        """Add a node and connect or set its inputs, named with _ for spaces."""
        node = self.tree.nodes.new(f"ShaderNode{kind}")
        for name, value in inputs.items():
            self._feed(node.inputs[name.replace("_", " ")], value)
        return node

    def _feed(self, socket: Socket, value: Value) -> None:
        """Connect a socket to another one, or set its constant."""
        if isinstance(value, bpy.types.NodeSocket):
            self.tree.links.new(value, socket)
        elif isinstance(value, Sequence):
            # A colour loses its alpha where a vector is wanted.
            socket.default_value = value[: len(socket.default_value)]
        else:
            socket.default_value = value

    def vector(self, operation: str, first: Value, second: Value) -> Socket:
        """Combine two vectors, or with SCALE a vector and a number."""
        node = self.tree.nodes.new("ShaderNodeVectorMath")
        node.operation = operation
        self._feed(node.inputs[0], first)
        self._feed(node.inputs["Scale" if operation == "SCALE" else 1], second)
        return node.outputs["Value" if operation == "DOT_PRODUCT" else "Vector"]

    def math(self, operation: str, first: Value, second: Value = 0.0) -> Socket:
        """Combine two numbers."""
        node = self.tree.nodes.new("ShaderNodeMath")
        node.operation = operation
        self._feed(node.inputs[0], first)
        self._feed(node.inputs[1], second)
        return node.outputs[0]

    def stretch(self, factors: Sequence[float], position: Socket | None = None) -> Socket:
        """Return the texture position multiplied axis by axis."""
        return self.vector("MULTIPLY", position or self.position, factors)

    def noise(self, scale: float, *, detail: float = 2.0, at: Socket | None = None) -> Socket:
        """Return smooth noise around 0.5."""
        node = self.node("TexNoise", Vector=at or self.position, Scale=scale, Detail=detail)
        return node.outputs["Factor"]

    def wobble(self, scale: float, amount: float, at: Socket | None = None) -> Socket:
        """Return the texture position displaced by vector noise, so that nothing repeats."""
        at = at or self.position
        shift = self.node("TexNoise", Vector=at, Scale=scale, Detail=1.0).outputs["Color"]
        centered = self.vector("SUBTRACT", shift, (0.5, 0.5, 0.5))
        return self.vector("ADD", at, self.vector("SCALE", centered, amount))

    def cells(
        self, scale: float, at: Socket | None = None, *, edges: bool = False
    ) -> bpy.types.Node:
        """Add Voronoi cells with outputs Distance (to centres or edges) and Color."""
        node = self.node("TexVoronoi", Vector=at or self.position, Scale=scale)
        if edges:
            node.feature = "DISTANCE_TO_EDGE"
        return node

    def bricks(self, at: Socket, width: float, height: float, *, offset: float) -> bpy.types.Node:
        """Add bricks whose Color is a random grey per brick and Factor the mortar."""
        node = self.node("TexBrick", Vector=at, Scale=1.0, Brick_Width=width, Row_Height=height)
        node.offset = offset
        self._feed(node.inputs["Color1"], (0, 0, 0, 1))
        self._feed(node.inputs["Color2"], (1, 1, 1, 1))
        self._feed(node.inputs["Mortar"], (0.5, 0.5, 0.5, 1))
        return node

    def ramp(self, factor: Socket, *stops: tuple[float, str]) -> Socket:
        """Map a number to colours "#rrggbb" given at rising positions."""
        node = self.node("ValToRGB")
        self._feed(node.inputs[0], factor)
        elements = node.color_ramp.elements
        while len(elements) < len(stops):
            elements.new(0.5)
        for element, (position, color) in zip(elements, stops, strict=True):
            element.position = position
            element.color = linear(color)
        return node.outputs["Color"]

    def step(self, value: Socket, low: float, high: float) -> Socket:
        """Map a number to 0 below `low` and 1 above `high`, clamped between."""
        node = self.node("MapRange", Value=value)
        node.inputs["From Min"].default_value = low
        node.inputs["From Max"].default_value = high
        return node.outputs[0]

    def mix(self, factor: Value, first: Value, second: Value, mode: str = "MIX") -> Socket:
        """Blend two colours; the factor 1 gives the second (or the full effect of the mode)."""
        node = self.tree.nodes.new("ShaderNodeMix")
        node.data_type, node.blend_type = "RGBA", mode
        # The first sockets of a mix node belong to its other data types.
        for index, value in ((0, factor), (6, first), (7, second)):
            self._feed(node.inputs[index], value)
        return node.outputs[2]

    def shade(self, color: Value, amount: Socket, low: float, high: float) -> Socket:
        """Multiply a colour by a grey that runs from `low` to `high` with the amount."""
        node = self.node("MapRange", Value=amount)
        node.inputs["From Min"].default_value, node.inputs["From Max"].default_value = 0.3, 0.7
        node.inputs["To Min"].default_value, node.inputs["To Max"].default_value = low, high
        return self.vector("SCALE", color, node.outputs[0])

    def finish(
        self, color: Value, *, roughness: float = 0.6, metallic: float = 0.0, glow: float = 0.0
    ) -> bpy.types.Material:
        """Feed the colour to the surface shader and return the material."""
        shader = self.tree.nodes["Principled BSDF"]
        self._feed(shader.inputs["Base Color"], color)
        shader.inputs["Roughness"].default_value = roughness
        shader.inputs["Metallic"].default_value = metallic
        if glow:
            self._feed(shader.inputs["Emission Color"], color)
            shader.inputs["Emission Strength"].default_value = glow
        return self.material
