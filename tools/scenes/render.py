"""Renders photos, label maps and depth maps of the scene that stands in Blender."""

from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tools.scenes.build import aim
from tools.scenes.camera import View

LABEL_STEP = 256
"""Labels are told apart by this in 16 bits, so that a mixture of two of them is found out."""
DEPTH_UNITS_PER_ONE = 20.0
"""A depth map stores camera z as value / 65535 * this many scene units."""


def setup(width: int, height: int, threads: int) -> None:
    """Choose the path tracer on the processor and the picture size."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.render.threads_mode, scene.render.threads = "FIXED", threads
    scene.render.resolution_x, scene.render.resolution_y = width, height
    scene.render.resolution_percentage = 100
    scene.render.use_persistent_data = True
    scene.cycles.max_bounces = 3
    scene.cycles.diffuse_bounces = 2
    scene.cycles.glossy_bounces = 1
    scene.cycles.caustics_reflective = scene.cycles.caustics_refractive = False
    # Rare bright paths would leave spots that the denoiser cannot explain.
    scene.cycles.sample_clamp_indirect = 3.0
    scene.cycles.use_adaptive_sampling = False


def render_photo(view: View, path: Path, samples: int) -> None:
    """Render a denoised photo to a JPEG file, or, by its name, to a PNG file."""
    scene = bpy.context.scene
    bpy.context.view_layer.material_override = None
    scene.cycles.samples = samples
    scene.cycles.use_denoising = True
    scene.cycles.denoiser = "OPENIMAGEDENOISE"
    scene.cycles.denoising_input_passes = "RGB_ALBEDO_NORMAL"
    scene.cycles.denoising_prefilter = "FAST"
    scene.cycles.pixel_filter_type, scene.cycles.filter_width = "BLACKMAN_HARRIS", 1.5
    scene.view_settings.view_transform = "Standard"
    settings = scene.render.image_settings
    settings.color_mode, settings.color_depth, settings.quality = "RGB", "8", 95
    settings.file_format = "PNG" if path.suffix == ".png" else "JPEG"
    _write(view, path)


def render_labels(view: View, path: Path) -> None:
    """Render the index of the entity at each pixel's centre to an 8-bit PNG file."""
    code = _flat("label code", "ShaderNodeObjectInfo", "Object Index", LABEL_STEP / 65535)
    raw = _render_exact(view, path, code, "16")
    indices = np.round(raw / LABEL_STEP).astype(np.uint8)
    if not np.array_equal(indices.astype(np.int64) * LABEL_STEP, raw) or indices.min() == 0:
        raise RuntimeError(f"{path}: label colours are not multiples of {LABEL_STEP} above 0")
    Image.fromarray(indices).save(path, optimize=True)


def render_depth(view: View, path: Path) -> None:
    """Render camera z at each pixel's centre to a 16-bit PNG file."""
    code = _flat("depth code", "ShaderNodeCameraData", "View Z Depth", 1 / DEPTH_UNITS_PER_ONE)
    _render_exact(view, path, code, "16")


def _flat(name: str, node_type: str, output: str, factor: float) -> bpy.types.Material:
    """Return a material that glows with a multiple of one quantity, made once per scene."""
    found = bpy.data.materials.get(name)
    if found is not None:
        return found
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    source = tree.nodes.new(node_type).outputs[output]
    scaled = tree.nodes.new("ShaderNodeMath")
    scaled.operation = "MULTIPLY"
    scaled.inputs[1].default_value = factor
    glow = tree.nodes.new("ShaderNodeEmission")
    surface = tree.nodes.new("ShaderNodeOutputMaterial").inputs["Surface"]
    tree.links.new(source, scaled.inputs[0])
    tree.links.new(scaled.outputs[0], glow.inputs["Color"])
    tree.links.new(glow.outputs[0], surface)
    return material


def _render_exact(
    view: View, path: Path, material: bpy.types.Material, bits: str
) -> NDArray[np.int64]:
    """Render every surface in one material: one sample per pixel, no filter, no tone curve."""
    scene = bpy.context.scene
    bpy.context.view_layer.material_override = material
    scene.cycles.samples = 1
    scene.cycles.use_denoising = False
    scene.cycles.pixel_filter_type, scene.cycles.filter_width = "BOX", 0.01
    scene.view_settings.view_transform = "Raw"
    # Dithering would turn exact codes into neighbours.
    scene.render.dither_intensity = 0.0
    settings = scene.render.image_settings
    settings.file_format, settings.color_mode, settings.color_depth = "PNG", "BW", bits
    _write(view, path)
    return np.asarray(Image.open(path)).astype(np.int64)


def _write(view: View, path: Path) -> None:
    """Render the view to the path."""
    aim(view)
    bpy.context.scene.render.filepath = str(path.resolve())
    bpy.ops.render.render(write_still=True)
