"""The demo scene: six clearly different things on a wooden table before a brick wall."""

from tools.scenes.camera import sweep
from tools.scenes.spec import BackgroundSpec, LightSpec, ObjectSpec, SceneSpec, Shoot

SIZE = (640, 480)

DEMO = Shoot(
    scene=SceneSpec(
        seed=2023,
        objects=(
            ObjectSpec("apple", "red", "plain", 1.85, 1.15, 30.0, 1.12, 101),
            ObjectSpec("mug", "blue", "plain", 0.1, 1.0, -25.0, 1.12, 102),
            ObjectSpec("ball", "pink", "striped", -1.9, 1.05, 20.0, 1.12, 103),
            ObjectSpec("banana", "yellow", "plain", -1.55, -1.0, -12.0, 1.05, 104),
            ObjectSpec("toy car", "green", "plain", 1.75, -0.75, 28.0, 0.95, 105),
            ObjectSpec("book", "purple", "plain", 0.1, -1.15, 14.0, 0.9, 106),
        ),
        ground=BackgroundSpec("wood", "ground", 0),
        wall=BackgroundSpec("brick", "wall", 3),
        wall_distance=2.8,
        light=LightSpec(
            azimuth=-38.0, elevation=56.0, strength=0.82, warmth=0.2, ambient=0.55, softness=4.5
        ),
    ),
    views=tuple(sweep(SIZE, count=30, seed=11)),
    masked=(2, 8, 14, 20, 26),
)
