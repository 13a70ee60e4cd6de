"""Builds a scene description in Blender."""

from dataclasses import replace

import bpy
import numpy as np
from mathutils import Matrix

from tools.scenes.backgrounds import surface
from tools.scenes.camera import FOCAL_PER_WIDTH, View
from tools.scenes.materials import paint
from tools.scenes.shapes import model
from tools.scenes.spec import BackgroundSpec, LightSpec, ObjectSpec, SceneSpec

WARM, COLD = np.array([1.0, 0.8, 0.58]), np.array([0.72, 0.86, 1.0])
KEY_DISTANCE = 9.0
WALL_SCALE = 1.5
"""Walls around a scene are farther off than one behind it; their texture is larger by this."""


def build(spec: SceneSpec) -> None:
    """Replace everything in Blender by the scene; pass_index holds the number of each label."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    for entity in (*spec.entities, *spec.unnamed):
        if isinstance(entity, ObjectSpec):
            add_object(entity, spec.number(entity))
        else:
            add_background(entity, spec.number(entity), spec)
    add_light(spec.light)
    camera = bpy.data.cameras.new("camera")
    camera.sensor_fit = "HORIZONTAL"
    camera.lens = FOCAL_PER_WIDTH * camera.sensor_width
    bpy.context.scene.camera = _link(bpy.data.objects.new("camera", camera))


def _link(thing: bpy.types.Object) -> bpy.types.Object:
    """Put an object into the scene."""
    bpy.context.scene.collection.objects.link(thing)
    return thing


def add_object(spec: ObjectSpec, index: int) -> bpy.types.Object:
    """Add one object: all its parts in one mesh with a material slot per paint."""
    parts = model(spec.kind)
    slots = list(dict.fromkeys(part.slot for part in parts))
    starts = np.cumsum([0, *[len(part.vertices) for part in parts]])
    faces = [
        tuple(int(corner + start) for corner in face)
        for part, start in zip(parts, starts, strict=False)
        for face in part.faces
    ]
    mesh = bpy.data.meshes.new(spec.kind)
    mesh.from_pydata(np.concatenate([part.vertices for part in parts]).tolist(), [], faces)
    material_of = [slots.index(part.slot) for part in parts for _ in part.faces]
    mesh.polygons.foreach_set("material_index", material_of)
    # Caps of tubes stay flat, as do the prisms: a cap is a polygon of more than four corners.
    smooth = [part.smooth and len(face) <= 4 for part in parts for face in part.faces]
    mesh.polygons.foreach_set("use_smooth", smooth)
    for slot in slots:
        mesh.materials.append(paint(slot, spec))
    mesh.validate()
    thing = _link(bpy.data.objects.new(spec.kind, mesh))
    thing.location = (spec.x, spec.y, 0.0)
    thing.rotation_euler = (0.0, 0.0, np.radians(spec.yaw))
    thing.scale = (spec.scale,) * 3
    thing.pass_index = index
    return thing


def add_background(spec: BackgroundSpec, index: int, scene: SceneSpec) -> None:
    """Add the table or the wall as planes that fill the picture from every view."""
    distance = scene.wall_distance
    if spec.role == "ground":
        front, side = (-distance, distance) if scene.enclosed else (-9, 14)
        corners = [(-side, front), (side, front), (side, distance), (-side, distance)]
        _add_plane(spec.role, corners, surface(spec)).pass_index = index
        return
    half = distance / WALL_SCALE if scene.enclosed else 14
    for turn in range(4 if scene.enclosed else 1):
        # Walls of one picture would be matched with each other by structure from motion.
        material = surface(replace(spec, texture_seed=spec.texture_seed + turn))
        wall = _add_plane(spec.role, [(-half, 0), (half, 0), (half, 9), (-half, 9)], material)
        wall.pass_index = index
        # Upright, so that its texture space keeps x across and y up.
        wall.rotation_euler = (np.pi / 2, 0.0, turn * np.pi / 2)
        angle = turn * np.pi / 2
        wall.location = (-distance * np.sin(angle), distance * np.cos(angle), 0.0)
        wall.scale = (WALL_SCALE if scene.enclosed else 1.0,) * 3


def _add_plane(
    name: str, corners: list[tuple[float, float]], material: bpy.types.Material
) -> bpy.types.Object:
    """Add a flat polygon."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([(x, y, 0) for x, y in corners], [], [tuple(range(len(corners)))])
    mesh.materials.append(material)
    return _link(bpy.data.objects.new(name, mesh))


def add_light(spec: LightSpec) -> None:
    """Add the soft key light, tinted by its warmth, and the ambient light of the other tint."""
    blend = (spec.warmth + 1) / 2
    tint = blend * WARM + (1 - blend) * COLD
    lamp = bpy.data.lights.new("key", "AREA")
    lamp.shape, lamp.size = "DISK", spec.softness
    lamp.energy = 1150.0 * spec.strength
    lamp.color = tint / tint.mean()
    key = _link(bpy.data.objects.new("key", lamp))
    turn, rise = np.radians(spec.azimuth), np.radians(spec.elevation)
    toward = np.array([np.sin(turn) * np.cos(rise), -np.cos(turn) * np.cos(rise), np.sin(rise)])
    key.matrix_world = Matrix.Translation((KEY_DISTANCE * toward).tolist())
    key.rotation_euler = (np.pi / 2 - rise, 0.0, turn)
    world = bpy.data.worlds.new("ambient")
    world.use_nodes = True
    sky = world.node_tree.nodes["Background"]
    ambient = 1.0 + 0.35 * (1.0 - tint / tint.mean())
    sky.inputs["Color"].default_value = (*ambient.tolist(), 1.0)
    sky.inputs["Strength"].default_value = spec.ambient
    bpy.context.scene.world = world


def aim(view: View) -> None:
    """Move the camera to a view: Blender's camera looks along -z with y up."""
    pose = np.eye(4)
    pose[:3] = view.world_from_camera
    camera = bpy.context.scene.camera
    camera.matrix_world = Matrix((pose @ np.diag([1.0, -1.0, -1.0, 1.0])).tolist())
