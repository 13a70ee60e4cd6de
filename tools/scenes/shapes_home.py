"""Models of things of the household."""

import numpy as np

from tools.scenes.solids import Part, ellipsoid, lathe, rounded_box, tube


def mug() -> list[Part]:
    """Model a mug with a handle."""
    wall = [(0, 0), (0.38, 0), (0.43, 0.05), (0.43, 1.0), (0.4, 1.03), (0.37, 1.0), (0.36, 0.2)]
    cup = lathe([*wall, (0, 0.15)], curved=False)
    handle = tube(
        [(0.4, 0, 0.82), (0.62, 0, 0.84), (0.76, 0, 0.55), (0.62, 0, 0.24), (0.4, 0, 0.22)], 0.065
    )
    return [cup, handle]


def teapot() -> list[Part]:
    """Model a teapot with lid, spout and handle."""
    body = lathe([(0, 0), (0.3, 0), (0.5, 0.22), (0.53, 0.42), (0.4, 0.7), (0.24, 0.78)])
    lid = lathe([(0.26, 0.76), (0.24, 0.82), (0.1, 0.9), (0.04, 0.93), (0, 0.93)])
    knob = ellipsoid((0, 0, 0.99), (0.09, 0.09, 0.09), "dark")
    spout = tube(
        [(0.4, 0, 0.26), (0.62, 0, 0.36), (0.7, 0, 0.6), (0.86, 0, 0.74)], [0.15, 0.12, 0.08, 0.06]
    )
    handle = tube(
        [(-0.42, 0, 0.64), (-0.68, 0, 0.72), (-0.82, 0, 0.5), (-0.7, 0, 0.26), (-0.46, 0, 0.2)],
        0.06,
    )
    return [body, lid, knob, spout, handle]


def bottle() -> list[Part]:
    """Model a bottle with a paper label and a cap."""
    profile = [(0, 0), (0.32, 0), (0.34, 0.05), (0.34, 0.85), (0.3, 0.98), (0.16, 1.14)]
    body = lathe([*profile, (0.13, 1.2), (0.13, 1.38), (0, 1.38)], curved=False)
    paper = lathe([(0.3, 0.28), (0.35, 0.28), (0.35, 0.68), (0.3, 0.68)], "cream", curved=False)
    cap = lathe([(0, 1.34), (0.16, 1.34), (0.16, 1.5), (0, 1.5)], "dark", curved=False)
    return [body, paper, cap]


def book() -> list[Part]:
    """Model a thick closed book lying flat, its title a pale plate on the cover."""
    cover = [rounded_box((0, 0, z), (1.34, 0.98, 0.05), rounding=0.015) for z in (0.025, 0.335)]
    spine = rounded_box((-0.645, 0, 0.18), (0.05, 0.98, 0.36), rounding=0.015)
    pages = rounded_box((0.01, 0, 0.18), (1.24, 0.9, 0.27), "cream", rounding=0.01)
    title = rounded_box((0.05, 0, 0.36), (0.3, 0.6, 0.01), "cream", rounding=0.004)
    return [*cover, spine, pages, title]


def lamp() -> list[Part]:
    """Model a table lamp: dark foot and pole, coloured shade."""
    foot = lathe([(0, 0), (0.34, 0), (0.34, 0.05), (0.1, 0.12), (0.06, 0.16)], "dark", curved=False)
    pole = tube([(0, 0, 0.1), (0, 0, 0.5), (0, 0, 0.9)], 0.06, "metal")
    shade = lathe([(0.52, 0.68), (0.28, 1.42), (0.25, 1.42), (0.49, 0.68)], curved=False, around=48)
    top = ellipsoid((0, 0, 1.42), (0.06, 0.06, 0.08), "metal")
    return [foot, pole, shade, top]


def hat() -> list[Part]:
    """Model a hat with a wide brim and a dark band."""
    brim = lathe([(0.4, 0.06), (0.74, 0.0), (0.8, 0.05), (0.74, 0.05), (0.44, 0.12)])
    crown = lathe([(0.46, 0.04), (0.45, 0.2), (0.4, 0.5), (0.28, 0.64), (0.1, 0.62), (0, 0.58)])
    band = lathe([(0.44, 0.1), (0.475, 0.1), (0.46, 0.26), (0.42, 0.26)], "dark", curved=False)
    return [brim, crown, band]


def boot() -> list[Part]:
    """Model a rain boot with a dark sole and a pale rim."""
    path = [(-0.28, 0, 1.1), (-0.28, 0, 0.6), (-0.24, 0, 0.34), (0.0, 0, 0.25), (0.42, 0, 0.22)]
    leg = tube(path, [0.29, 0.26, 0.27, 0.25, 0.21], around=24)
    heel = ellipsoid((-0.26, 0, 0.3), (0.27, 0.25, 0.24))
    toe = ellipsoid((0.4, 0, 0.23), (0.25, 0.25, 0.2))
    sole = rounded_box((0.02, 0, 0.06), (1.14, 0.48, 0.14), "dark", rounding=0.05)
    rim = lathe([(0.26, 1.02), (0.32, 1.02), (0.32, 1.14), (0.26, 1.14)], "cream", curved=False)
    return [leg, heel, toe, sole, rim.moved((-0.28, 0, 0))]


def bowl() -> list[Part]:
    """Model an open bowl on a small foot."""
    outer = [(0, 0), (0.3, 0), (0.3, 0.07), (0.5, 0.2), (0.68, 0.45), (0.72, 0.6)]
    inner = [(0.68, 0.61), (0.62, 0.44), (0.44, 0.22), (0, 0.13)]
    return [lathe([*outer, *inner], curved=False)]


def candle() -> list[Part]:
    """Model a thick candle on a metal saucer with its flame."""
    saucer = lathe([(0, 0), (0.3, 0), (0.34, 0.07), (0, 0.07)], "metal", curved=False)
    wax = lathe([(0, 0.05), (0.25, 0.05), (0.25, 1.02), (0.2, 1.05), (0, 0.99)], curved=False)
    wick = tube([(0, 0, 0.98), (0, 0, 1.08), (0.01, 0, 1.14)], 0.018, "dark")
    flame = lathe([(0, 0), (0.07, 0.06), (0.08, 0.14), (0.03, 0.25), (0, 0.32)], "flame")
    return [saucer, wax, wick, flame.moved((0, 0, 1.07))]


def vase() -> list[Part]:
    """Model a tall vase with a belly and a flared neck."""
    profile = [(0, 0), (0.24, 0), (0.36, 0.25), (0.46, 0.55), (0.38, 0.86), (0.19, 1.08)]
    return [lathe([*profile, (0.2, 1.22), (0.32, 1.4), (0.28, 1.4), (0.15, 1.2), (0, 1.0)])]


def hammer() -> list[Part]:
    """Model a hammer lying flat: coloured handle, metal head."""
    handle = tube(
        [(-0.9, 0, 0.13), (-0.5, 0, 0.13), (0.2, 0, 0.13), (0.7, 0, 0.13)], [0.13, 0.12, 0.09, 0.09]
    )
    grip = tube([(-0.92, 0, 0.13), (-0.7, 0, 0.13), (-0.45, 0, 0.13)], 0.14, "dark")
    head = rounded_box((0.66, 0.02, 0.14), (0.28, 0.5, 0.27), "metal", rounding=0.04)
    face = tube([(0.66, 0.22, 0.14), (0.66, 0.3, 0.14), (0.66, 0.42, 0.14)], 0.14, "metal")
    claw = tube(
        [(0.66, -0.2, 0.14), (0.66, -0.34, 0.14), (0.6, -0.52, 0.1)], [0.13, 0.11, 0.03], "metal"
    )
    return [handle, grip, head, face, claw]


def chair() -> list[Part]:
    """Model a toy chair with a slatted back."""
    seat = rounded_box((0, 0, 0.56), (0.78, 0.74, 0.1), rounding=0.03)
    legs = [
        rounded_box((x, y, 0.27), (0.1, 0.1, 0.54), rounding=0.03)
        for x in (-0.32, 0.32)
        for y in (-0.3, 0.3)
    ]
    posts = [rounded_box((x, 0.32, 0.95), (0.1, 0.08, 0.8), rounding=0.03) for x in (-0.32, 0.32)]
    slats = [
        rounded_box((0, 0.32, z), (0.7, 0.06, 0.14), rounding=0.03) for z in (0.84, 1.06, 1.27)
    ]
    return [seat, *legs, *posts, *slats]


def gift_box() -> list[Part]:
    """Model a present with crossing ribbons and a bow."""
    box = rounded_box((0, 0, 0.4), (0.88, 0.88, 0.8), rounding=0.03)
    ribbons = [
        rounded_box((0, 0, 0.405), (0.9, 0.18, 0.82), "contrast", rounding=0.03),
        rounded_box((0, 0, 0.405), (0.18, 0.9, 0.82), "contrast", rounding=0.03),
    ]
    turn = np.linspace(0, 2 * np.pi, 9)
    loop = np.column_stack([0.2 - 0.2 * np.cos(turn), 0 * turn, 0.13 * np.sin(turn) + 0.08])
    bow = [
        tube(loop, 0.08, "contrast", squash=0.5).moved((0, 0, 0.82)).turned("z", angle)
        for angle in (20, 110, 200, 290)
    ]
    return [box, *ribbons, *bow]
