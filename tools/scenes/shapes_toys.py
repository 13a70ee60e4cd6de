"""Models of toys and signs."""

import numpy as np

from tools.scenes.solids import Part, ellipsoid, lathe, prism, ring_of, rounded_box, tube


def ball() -> list[Part]:
    """Model a ball."""
    return [ellipsoid((0, 0, 0.55), (0.55, 0.55, 0.55), around=48)]


def die() -> list[Part]:
    """Model a die with pips on all faces that can be seen."""
    half = 0.475
    parts = [rounded_box((0, 0, half), (2 * half, 2 * half, 2 * half), rounding=0.1)]
    spread = 0.25
    corners = [(x, y) for x in (-spread, spread) for y in (-spread, spread)]
    layouts: list[list[tuple[float, float]]] = [
        [(0, 0)],
        corners[:1] + corners[3:],
        [*corners, (0, 0)],
        corners,
    ]
    pip = ellipsoid((0, 0, half), (0.095, 0.095, 0.02), "contrast", around=16)
    for quarter, layout in enumerate(layouts):
        for x, y in layout:
            side = pip.moved((x, y, 0)).turned("x", 90).turned("z", 90.0 * quarter)
            parts.append(side.moved((0, 0, half)))
    for x, y in [*corners, (-spread, 0), (spread, 0)]:
        parts.append(pip.moved((x, y, half)))
    return parts


def toy_car() -> list[Part]:
    """Model a toy car with windows, lamps and four wheels."""
    body = rounded_box((0, 0, 0.33), (1.62, 0.72, 0.3), rounding=0.12)
    cabin = rounded_box((-0.1, 0, 0.58), (0.84, 0.6, 0.36), rounding=0.13)
    windows = [
        rounded_box((-0.1, 0, 0.58), (0.62, 0.62, 0.2), "glass", rounding=0.03),
        rounded_box((-0.1, 0, 0.58), (0.86, 0.44, 0.2), "glass", rounding=0.03),
    ]
    disc = [(0, -0.08), (0.17, -0.08), (0.2, -0.04), (0.2, 0.06), (0.17, 0.08), (0, 0.08)]
    wheel = lathe(disc, "dark", curved=False).turned("x", 90)
    hub = lathe([(0, -0.1), (0.09, -0.1), (0.09, 0.1), (0, 0.1)], "metal", curved=False)
    places = [(x, y, 0.2) for x in (-0.48, 0.48) for y in (-0.32, 0.32)]
    lamps = [ellipsoid((0.79, y, 0.36), (0.05, 0.08, 0.08), "cream") for y in (-0.22, 0.22)]
    wheels = [part.moved(place) for place in places for part in (wheel, hub.turned("x", 90))]
    return [body, cabin, *windows, *wheels, *lamps]


def traffic_cone() -> list[Part]:
    """Model a traffic cone with pale bands on a square foot."""
    foot = rounded_box((0, 0, 0.05), (0.82, 0.82, 0.1), rounding=0.04)
    profile = np.array([(0.34, 0.08), (0.07, 1.22), (0.0, 1.25)])
    parts = [foot, lathe(profile, curved=False)]
    for low, high in ((0.36, 0.58), (0.78, 0.96)):
        rims = [(0.353 - 0.237 * (z - 0.08), z) for z in (low, high)]
        inner = [(radius - 0.05, z) for radius, z in reversed(rims)]
        parts.append(lathe([*rims, *inner], "white", curved=False))
    return parts


def rubber_duck() -> list[Part]:
    """Model a rubber duck."""
    body = ellipsoid((-0.05, 0, 0.34), (0.56, 0.44, 0.34))
    head = ellipsoid((0.2, 0, 0.8), (0.29, 0.28, 0.28))
    tail = tube([(-0.35, 0, 0.4), (-0.55, 0, 0.52), (-0.66, 0, 0.7)], [0.26, 0.15, 0.02])
    beak = ellipsoid((0.5, 0, 0.74), (0.15, 0.13, 0.06), "orange")
    eyes = [ellipsoid((0.4, y, 0.9), (0.05, 0.05, 0.06), "dark") for y in (-0.15, 0.15)]
    wings = [ellipsoid((-0.12, y, 0.4), (0.3, 0.09, 0.17)) for y in (-0.42, 0.42)]
    return [body, head, tail, beak, *eyes, *wings]


def toy_house() -> list[Part]:
    """Model a toy house: coloured walls, brown roof, door and windows."""
    walls = rounded_box((0, 0, 0.33), (0.94, 0.78, 0.66), rounding=0.02)
    gable = prism([(-0.39, 0.62), (0.39, 0.62), (0, 1.0)], -0.46, 0.46)
    gable = gable.turned("x", 90).turned("z", 90)
    slab = [(-0.52, 0.56), (0, 1.08), (0.52, 0.56), (0.52, 0.64), (0, 1.16), (-0.52, 0.64)]
    roof = prism(slab, -0.53, 0.53, "brown").turned("x", 90).turned("z", 90)
    chimney = rounded_box((0.26, 0.16, 1.0), (0.14, 0.14, 0.3), "metal", rounding=0.01)
    parts = [walls, gable, roof, chimney]
    for side in (-0.39, 0.39):
        parts.append(rounded_box((0, side, 0.22), (0.2, 0.03, 0.42), "dark", rounding=0.01))
        for x in (-0.29, 0.29):
            parts.append(rounded_box((x, side, 0.4), (0.18, 0.03, 0.2), "glass", rounding=0.01))
    for side in (-0.47, 0.47):
        parts.append(rounded_box((side, 0, 0.4), (0.03, 0.24, 0.24), "glass", rounding=0.01))
    return parts


def toy_boat() -> list[Part]:
    """Model a sailing boat: coloured hull, brown mast, white sails."""
    stations = np.array([-0.8, -0.7, -0.3, 0.1, 0.5, 0.8])
    widths = np.array([0.2, 0.27, 0.33, 0.32, 0.2, 0.01])
    keel = np.array([0.06, 0.02, 0.0, 0.0, 0.06, 0.28])
    deck = np.array([0.38, 0.36, 0.34, 0.35, 0.38, 0.46])
    lines = [(-1.0, 1.0), (-0.75, 0.45), (-0.3, 0.0), (0.3, 0.0), (0.75, 0.45), (1.0, 1.0)]
    rings = [
        [(x, side * w, k + rise * (d - k)) for side, rise in lines]
        for x, w, k, d in zip(stations, widths, keel, deck, strict=True)
    ]
    faces = [
        (r * 6 + s, r * 6 + (s + 1) % 6, (r + 1) * 6 + (s + 1) % 6, (r + 1) * 6 + s)
        for r in range(len(stations) - 1)
        for s in range(6)
    ]
    hull = Part(np.array(rings).reshape(-1, 3), [(5, 4, 3, 2, 1, 0), *faces], smooth=False)
    mast = tube([(0, 0, 0.3), (0, 0, 0.8), (0, 0, 1.3)], 0.035, "brown")
    sails = [
        prism([(0.06, 0.45), (0.6, 0.45), (0.06, 1.25)], -0.02, 0.02, "white"),
        prism([(-0.06, 0.45), (-0.06, 1.15), (-0.56, 0.45)], -0.02, 0.02, "white"),
    ]
    return [hull, mast, *[sail.turned("x", 90) for sail in sails]]


def toy_rocket() -> list[Part]:
    """Model a rocket standing on its fins, with a contrasting nose and windows."""
    hull = lathe([(0, 0.14), (0.2, 0.14), (0.3, 0.4), (0.31, 0.75), (0.23, 1.12)])
    nose = lathe([(0.235, 1.1), (0.15, 1.34), (0, 1.5)], "contrast")
    fin = prism([(0.2, 0.25), (0.5, 0.0), (0.52, 0.25), (0.24, 0.68)], -0.035, 0.035, "contrast")
    port = ellipsoid((0.27, 0, 0.86), (0.06, 0.12, 0.12), "glass")
    nozzle = lathe([(0, 0.04), (0.2, 0.04), (0.14, 0.18), (0, 0.18)], "dark", curved=False)
    windows = [part.turned("z", 45) for part in ring_of(port, 4)]
    return [hull, nose, nozzle, *ring_of(fin.turned("x", 90), 4), *windows]
