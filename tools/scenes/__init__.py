"""A small procedural world of tabletop scenes, rendered with Blender's Cycles."""
