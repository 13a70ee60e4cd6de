"""The ring scene: six things in a courtyard, seen from all around."""

from tools.scenes.camera import ring
from tools.scenes.spec import BackgroundSpec, LightSpec, ObjectSpec, SceneSpec, Shoot

SIZE = (640, 480)

RING = Shoot(
    scene=SceneSpec(
        seed=2024,
        objects=(
            ObjectSpec("apple", "red", "plain", 1.75, 1.25, 30.0, 1.12, 201),
            ObjectSpec("mug", "blue", "plain", -0.1, 1.75, -25.0, 1.12, 202),
            ObjectSpec("rubber duck", "yellow", "plain", -1.85, 1.0, 140.0, 1.12, 203),
            ObjectSpec("traffic cone", "orange", "plain", -1.6, -1.05, -12.0, 1.0, 204),
            ObjectSpec("toy car", "green", "plain", 0.2, -1.5, 28.0, 1.0, 205),
            ObjectSpec("gift box", "purple", "plain", 1.85, -0.85, 14.0, 1.0, 206),
        ),
        ground=BackgroundSpec("wood", "ground", 0),
        wall=BackgroundSpec("brick", "wall", 3),
        wall_distance=9.0,
        light=LightSpec(
            azimuth=-38.0, elevation=66.0, strength=0.82, warmth=0.2, ambient=0.75, softness=5.0
        ),
        enclosed=True,
    ),
    views=tuple(ring(SIZE, count=40, seed=12)),
    masked=(3, 12, 19, 28, 35),
)
