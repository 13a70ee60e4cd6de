"""Controls for what is shown: scene, layer, text, labels, and what was clicked on."""

import html

import viser

from ovs3d.evaluation.palette import label_colors
from ovs3d.viewer.picking import Picked, pick
from ovs3d.viewer.window import Window

_MARKER_SIZE = 0.006
"""Radius of the ball where was clicked, relative to its depth."""
_RUNNERS_UP = 2
# A square of the label's colour, laid over the row of the check box that follows.
_SWATCH = (
    '<div style="position:relative;height:0"><div style="position:absolute;right:1.2em;top:0.25em;'
    'width:2.2em;height:1.1em;border-radius:3px;border:1px solid #8888;background:{}"></div></div>'
)


def add_status(window: Window) -> None:
    """Add the choice of scenes, and what the scene shown lacks."""
    gui, scene = window.client.gui, window.session.scene
    if len(window.scenes.names) > 1:
        choice = gui.add_dropdown("Scene", window.scenes.names, initial_value=scene.name)
        choice.on_update(lambda _: window.open(choice.value))
    missing = gui.add_html("")
    baking = gui.add_markdown("")

    def tell() -> None:
        missing.content = "".join(f"<p>{html.escape(line)}</p>" for line in scene.missing)
        missing.visible = bool(scene.missing)
        baking.content = f"Reading the surface of all views: {scene.baking:.0%}"
        baking.visible = scene.baking < 1
        window.screen.redraw()

    tell()
    window.until_closed(scene.on_change(tell))


def add_layers(window: Window) -> None:
    """Add the choice of layers, and the boxes for a text."""
    gui, session = window.client.gui, window.session
    layer = gui.add_dropdown("Show", session.scene.layers, initial_value="colours")
    text = gui.add_text("Look for", "", hint="any words, for example: something to drink from")
    negatives = gui.add_text("but not", "", hint="what it is not, with commas between")
    answer = gui.add_markdown("")

    def choose(_: object) -> None:
        session.show(layer.value)
        window.screen.redraw()

    def ask(_: object) -> None:
        # Of keys that are struck fast, whichever comes last: all read what is written now.
        answer.content = session.ask(text.value, negatives.value)
        layer.value = session.how.layer
        window.screen.redraw()

    def tell() -> None:
        layer.options = session.scene.layers
        text.visible = negatives.visible = session.scene.volume is not None

    layer.on_update(choose)
    text.on_update(ask)
    negatives.on_update(ask)
    tell()
    window.until_closed(session.scene.on_change(tell))


def add_legend(window: Window) -> None:
    """Add the labels in their colours, each with a box that hides it."""
    gui, session = window.client.gui, window.session
    labels = session.scene.labels
    if not labels:
        return
    boxes: list[viser.GuiCheckboxHandle] = []

    def toggled(_: object) -> None:
        session.hide([index for index, box in enumerate(boxes) if not box.value])
        window.screen.redraw()

    with gui.add_folder("Labels"):
        for label, color in zip(labels, label_colors(len(labels)).tolist(), strict=True):
            gui.add_html(_SWATCH.format(f"rgb({','.join(map(str, color))})"))
            box = gui.add_checkbox(label, True)
            box.on_update(toggled)
            boxes.append(box)
        every = gui.add_button_group("", ("all", "none"))

    def toggle_all(_: object) -> None:
        for box in boxes:
            box.value = every.value == "all"

    every.on_click(toggle_all)


def add_clicks(window: Window) -> None:
    """Tell about the place that is clicked on."""
    client, session = window.client, window.session
    told = client.gui.add_markdown("Click on something to see what it is.")

    def tell(event: viser.SceneClickEvent) -> None:
        picked = pick(session.scene, session.how, window.camera(), event.screen_pos)
        if picked is None:
            told.content = "Nothing there."
            return
        told.content = describe(picked)
        radius = _MARKER_SIZE * picked.depth
        color = (255, 0, 80)
        client.scene.add_icosphere("/clicked", radius, color, position=picked.position)

    client.scene.on_click()(tell)


def describe(picked: Picked) -> str:
    """Return what is known about a place as Markdown."""
    lines = []
    if picked.scores:
        (label, score), *others = picked.scores
        lines.append(f"**{label}**, cosine {score:.2f}")
        lines += [f"then {other}, {cosine:.2f}" for other, cosine in others[:_RUNNERS_UP]]
    if picked.relevancy is not None:
        lines.append(f"relevancy {picked.relevancy:.2f}")
    place = ", ".join(f"{value:.3f}" for value in picked.position)
    lines.append(f"at ({place}), depth {picked.depth:.3f}")
    return "  \n".join(lines)
