"""Models of fruit, vegetables and other things that grow or are eaten."""

import numpy as np

from tools.scenes.solids import Part, ellipsoid, lathe, prism, tube


def apple() -> list[Part]:
    """Model an apple with a dimple, a stem and a leaf."""
    profile = [(0, 0.06), (0.16, 0.0), (0.34, 0.1), (0.49, 0.36), (0.52, 0.6), (0.42, 0.84)]
    body = lathe([*profile, (0.22, 0.91), (0.08, 0.85), (0, 0.79)], lobes=0.025)
    stem = tube([(0, 0, 0.78), (0.02, 0, 0.95), (0.08, 0, 1.08)], [0.03, 0.03, 0.045], "brown")
    leaf = tube(
        [(0.03, 0, 0.95), (0.18, 0.03, 1.06), (0.36, 0.05, 1.02)],
        [0.01, 0.1, 0.01],
        "leaf",
        squash=0.25,
    )
    return [body, stem, leaf]


def pear() -> list[Part]:
    """Model a pear with a stem."""
    profile = [(0, 0.04), (0.15, 0.0), (0.4, 0.16), (0.48, 0.4), (0.38, 0.68), (0.23, 0.9)]
    body = lathe([*profile, (0.17, 1.04), (0.08, 1.1), (0, 1.09)], lobes=0.015)
    stem = tube([(0, 0, 1.06), (0.02, 0, 1.16), (0.08, 0, 1.26)], 0.03, "brown")
    return [body, stem]


def banana() -> list[Part]:
    """Model a banana lying on its side, both ends raised a little."""
    angle = np.radians(np.linspace(-72, 72, 9))
    radii = [0.05, 0.11, 0.18, 0.22, 0.235, 0.22, 0.18, 0.12, 0.05]
    path = np.column_stack([np.sin(angle), 1 - np.cos(angle), 0.14 * np.abs(angle)]) * 0.85
    tip_path = path[-1] + np.outer([0, 1, 2], (path[-1] - path[-2]) * 0.3)
    return [
        tube(path, radii, around=10),
        tube(tip_path, [0.055, 0.05, 0.06], "brown"),
        ellipsoid(path[0], (0.055, 0.055, 0.055), "brown"),
    ]


def carrot() -> list[Part]:
    """Model a carrot lying on the table with its leaves."""
    root = tube(
        [(-0.95, 0, 0.06), (-0.6, 0, 0.1), (0, 0, 0.2), (0.35, 0, 0.24), (0.46, 0, 0.24)],
        [0.015, 0.09, 0.19, 0.23, 0.14],
    )
    leaves = [
        tube(
            [(0.42, 0, 0.24), (0.7, side * 0.6, 0.24 + rise), (0.98, side, 0.2 + rise)],
            [0.03, 0.085, 0.03],
            "leaf",
            squash=0.6,
        )
        for side, rise in ((-0.34, 0.0), (-0.14, 0.16), (0.12, 0.05), (0.32, 0.12))
    ]
    return [root, *leaves]


def mushroom() -> list[Part]:
    """Model a mushroom: a coloured cap on a pale stem."""
    stem = lathe([(0, 0), (0.27, 0.0), (0.24, 0.2), (0.19, 0.5), (0.2, 0.62)], "cream")
    cap = lathe([(0.1, 0.5), (0.5, 0.45), (0.6, 0.55), (0.52, 0.8), (0.3, 0.99), (0, 1.05)])
    return [stem, cap]


def donut() -> list[Part]:
    """Model a glazed donut: dough, a coloured icing with a wavy rim, sprinkles."""
    turn = np.linspace(0, 2 * np.pi, 25)
    dough = lathe(np.column_stack([0.41 + 0.25 * np.cos(turn), 0.25 + 0.25 * np.sin(turn)]), "tan")
    top = np.radians(np.linspace(-8, 188, 13))
    icing = lathe(
        np.column_stack([0.41 + 0.265 * np.cos(top), 0.26 + 0.265 * np.sin(top)]), lobes=0.012
    )
    sprinkles = []
    for index in range(26):
        # The golden angle spreads the sprinkles evenly without a visible pattern.
        around, tilt = index * 2.39996, np.radians(62 + 56 * ((index * 0.618) % 1))
        radius, height = 0.41 + 0.27 * np.cos(tilt), 0.265 + 0.27 * np.sin(tilt)
        bit = ellipsoid((0, 0, 0), (0.055, 0.018, 0.018), "white", around=8)
        bit = bit.turned("z", index * 77.0)
        sprinkles.append(bit.moved((radius * np.cos(around), radius * np.sin(around), height)))
    return [dough, icing, *sprinkles]


def plant_pot() -> list[Part]:
    """Model a coloured flower pot with a leafy plant."""
    pot = lathe(
        [(0, 0), (0.32, 0), (0.44, 0.55), (0.5, 0.55), (0.52, 0.72), (0.44, 0.72), (0.42, 0.62)],
        curved=False,
    )
    soil = lathe([(0, 0.5), (0.42, 0.5), (0.42, 0.64), (0, 0.68)], "brown", curved=False)
    leaves = []
    for index in range(9):
        reach, top = (0.5, 1.12) if index < 6 else (0.2, 1.42)
        path = [(0, 0, 0.62), (reach * 0.5, 0, top - 0.1), (reach, 0, top - 0.02)]
        leaf = tube(path, [0.03, 0.15, 0.015], "leaf", squash=0.3)
        # Six low leaves all round, then three steep ones in the gaps between them.
        turn = 60.0 * index if index < 6 else 120.0 * index + 65.0
        leaves.append(leaf.turned("z", turn))
    return [pot, soil, *leaves]


def star() -> list[Part]:
    """Model a puffy five-pointed star standing on two of its points."""
    angle = np.pi / 2 + np.arange(10) * np.pi / 5
    reach = np.where(np.arange(10) % 2 == 0, 0.66, 0.31)
    outline = np.column_stack([reach * np.cos(angle), reach * np.sin(angle)])
    flat = prism(outline, -0.09, 0.09)
    rim = flat.vertices
    centers = np.array([[0, 0, -0.26], [0, 0, 0.26]])
    sides = flat.faces[:10]
    low = [(20, (i + 1) % 10, i) for i in range(10)]
    high = [(21, 10 + i, 10 + (i + 1) % 10) for i in range(10)]
    puffy = Part(np.concatenate([rim, centers]), [*sides, *low, *high], smooth=False)
    return [puffy.turned("x", 78)]
