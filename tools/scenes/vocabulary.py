"""The words of the small world: kinds, colours, patterns and backgrounds with their synonyms."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Color:
    """A named paint colour."""

    name: str
    srgb: str
    synonyms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pattern:
    """A named surface pattern; the plain one is not spoken of in labels."""

    name: str
    synonyms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """A kind of object with the upright cylinder (scene units) that its model fits into.

    `turn` limits how far (degrees) it may be turned from the front, for flat upright things.
    """

    name: str
    radius: float
    height: float
    synonyms: tuple[str, ...] = ()
    colors: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ("plain",)
    turn: float = 180.0


@dataclass(frozen=True)
class Background:
    """A surface kind; `ground` and `wall` hold its phrases in that role, none if not used so."""

    name: str
    ground: tuple[str, ...] = ()
    wall: tuple[str, ...] = ()

    def phrases(self, role: str) -> tuple[str, ...]:
        """Return the phrases for the role "ground" or "wall", the usual label first."""
        return self.ground if role == "ground" else self.wall


COLORS: dict[str, Color] = {
    color.name: color
    for color in (
        Color("red", "#c8201c", ("crimson", "scarlet")),
        Color("orange", "#ee7d12", ("tangerine",)),
        Color("yellow", "#efc81e", ("golden yellow",)),
        Color("green", "#2f9a36", ("emerald",)),
        Color("blue", "#2257c9", ("azure", "cobalt")),
        Color("purple", "#7432ab", ("violet",)),
        Color("pink", "#f083b4", ("rose",)),
        Color("white", "#e4e2dc", ("ivory",)),
        Color("black", "#2b2b2e", ("dark",)),
    )
}

PATTERNS: dict[str, Pattern] = {
    pattern.name: pattern
    for pattern in (
        Pattern("plain"),
        Pattern("striped", ("stripy",)),
        Pattern("dotted", ("spotted", "polka dot")),
        Pattern("checkered", ("chequered",)),
    )
}

ANY_COLOR = tuple(COLORS)
ANY_PATTERN = tuple(PATTERNS)
BRIGHT = tuple(name for name in COLORS if name not in ("white", "black"))

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("ball", 0.55, 1.10, ("sphere",), ANY_COLOR, ANY_PATTERN),
        Kind("mug", 0.66, 1.05, ("cup",), ANY_COLOR, ANY_PATTERN),
        Kind("donut", 0.68, 0.52, ("doughnut", "ring"), ANY_COLOR),
        Kind("die", 0.66, 0.95, ("dice", "cube"), ANY_COLOR),
        Kind("toy car", 0.86, 0.78, ("car", "automobile"), ANY_COLOR),
        Kind("plant pot", 0.58, 1.45, ("flower pot", "potted plant"), ANY_COLOR, ANY_PATTERN),
        Kind("teapot", 0.86, 1.10, ("tea pot", "kettle"), ANY_COLOR, ANY_PATTERN),
        Kind("bottle", 0.36, 1.50, ("flask",), BRIGHT),
        Kind("book", 0.84, 0.36, ("closed book",), ANY_COLOR, ("plain", "striped", "dotted")),
        Kind("apple", 0.55, 1.08, ("apple fruit",), ("red", "green", "yellow")),
        Kind("banana", 0.84, 0.58, ("banana fruit",), ("yellow", "green")),
        Kind("lamp", 0.52, 1.50, ("table lamp",), ANY_COLOR, ANY_PATTERN),
        Kind("hat", 0.80, 0.66, ("sun hat",), ANY_COLOR),
        Kind("boot", 0.66, 1.15, ("rain boot", "shoe"), ANY_COLOR, ("plain", "dotted")),
        Kind("bowl", 0.72, 0.62, ("dish",), ANY_COLOR, ANY_PATTERN),
        Kind("carrot", 0.98, 0.46, ("carrot vegetable",), ("orange", "purple", "yellow")),
        Kind("mushroom", 0.60, 1.05, ("toadstool",), BRIGHT, ("plain", "dotted")),
        Kind("star", 0.66, 1.25, ("toy star",), ANY_COLOR, turn=35.0),
        Kind("candle", 0.34, 1.40, ("wax candle",), ANY_COLOR, ("plain", "striped")),
        Kind("vase", 0.48, 1.40, ("urn",), ANY_COLOR, ANY_PATTERN),
        Kind("hammer", 0.92, 0.30, ("mallet",), BRIGHT),
        Kind("pear", 0.50, 1.25, ("pear fruit",), ("green", "yellow", "red")),
        Kind("traffic cone", 0.60, 1.25, ("cone",), ("orange", "red", "yellow", "green", "blue")),
        Kind("rubber duck", 0.66, 1.10, ("toy duck", "duck"), ANY_COLOR),
        Kind("gift box", 0.66, 1.10, ("present", "gift"), BRIGHT, ANY_PATTERN),
        Kind("toy house", 0.66, 1.15, ("house",), ANY_COLOR),
        Kind("toy boat", 0.80, 1.30, ("boat", "ship"), BRIGHT),
        Kind("toy rocket", 0.52, 1.50, ("rocket", "spaceship"), ANY_COLOR, ("plain", "checkered")),
        Kind("chair", 0.56, 1.35, ("toy chair",), ANY_COLOR),
    )
}

BACKGROUNDS: dict[str, Background] = {
    background.name: background
    for background in (
        Background("wood", ("wooden table", "wood"), ("wooden wall", "wood planks")),
        Background("brick", (), ("brick wall", "bricks")),
        Background("grass", ("grass", "lawn")),
        Background("cloth", ("cloth", "fabric", "tablecloth"), ("curtain", "fabric", "cloth")),
        Background("pebbles", ("pebbles", "stones", "gravel"), ("stone wall", "stones")),
        Background("tiles", ("tiles", "tiled floor"), ("tiled wall", "tiles")),
        Background("sand", ("sand", "beach")),
        Background("carpet", ("carpet", "rug")),
        Background("concrete", ("concrete", "concrete floor"), ("concrete wall", "plaster wall")),
        Background("marble", ("marble", "marble table"), ("marble wall", "marble")),
    )
}


def common_phrases() -> list[str]:
    """Return what is asked for most: every name, every synonym, and every kind in its colours."""
    kinds = [name for kind in KINDS.values() for name in (kind.name, *kind.synonyms)]
    surfaces = [name for each in BACKGROUNDS.values() for name in (*each.ground, *each.wall)]
    painted = [
        object_label(kind.name, color, "plain") for kind in KINDS.values() for color in kind.colors
    ]
    return list(dict.fromkeys([*kinds, *surfaces, *painted]))


def object_label(kind: str, color: str, pattern: str) -> str:
    """Return the usual phrase for an object, such as "red apple" or "blue striped ball"."""
    if pattern == "plain":
        return f"{color} {kind}"
    return f"{color} {pattern} {kind}"


def background_label(kind: str, role: str) -> str:
    """Return the usual phrase for a background, such as "brick wall" or "wooden table"."""
    return BACKGROUNDS[kind].phrases(role)[0]


def object_phrases(kind: str, color: str, pattern: str) -> list[str]:
    """Return every phrase that names the object, the usual one first.

    Colour and pattern may each be missing, since people leave out what they need not say.
    """
    kinds = (kind, *KINDS[kind].synonyms)
    colors = (color, *COLORS[color].synonyms)
    patterns = ("",) if pattern == "plain" else (pattern, *PATTERNS[pattern].synonyms, "")
    phrases = [
        " ".join(word for word in (color_word, pattern_word, kind_word) if word)
        for kind_word in kinds
        for pattern_word in patterns
        for color_word in (*colors, "")
    ]
    return list(dict.fromkeys(phrases))
