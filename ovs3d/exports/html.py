"""Pieces of a web page that needs nothing but itself: pictures, tables, curves, sliders."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

_QUALITY = 82
_CURVES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#333333")
"""Okabe and Ito 2008."""


def picture(image: Image.Image, text: str, width: int) -> str:
    """Embed a picture, shrunk to `width` pixels if it is wider; `text` is its alternative."""
    if image.width > width:
        image = image.resize((width, round(image.height * width / image.width)))
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, format="WEBP", quality=_QUALITY, method=4)
    size = f'width="{image.width}" height="{image.height}"'
    return _embedded(buffer, "webp", f'{size} alt="{escape(text)}"')


def slider(below: str, above: str, names: tuple[str, str]) -> str:
    """Lay one picture over another; a slider says how much of the upper one shows."""
    first, second = (escape(name) for name in names)
    label = f"{first} or {second}"
    return (
        f'<div class="compare">{below}<div class="above">{above}</div>'
        f'<input type="range" min="0" max="100" value="50" aria-label="{label}">'
        f"<p><span>{first}</span><span>{second}</span></p></div>"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Lay out cells of text."""
    lines = ["<tr>" + "".join(f"<th>{escape(name)}</th>" for name in head) + "</tr>"]
    for row in rows:
        lines.append("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>")
    return f"<table>{''.join(lines)}</table>"


def figure(content: str, caption: str) -> str:
    """Put a caption below something."""
    return f"<figure>{content}<figcaption>{escape(caption)}</figcaption></figure>"


def curves(title: str, x: Sequence[float], lines: Mapping[str, Sequence[float]]) -> str:
    """Plot curves over steps.

    Args:
        title: of the plot.
        x: steps, increasing.
        lines: name -> value at each step.
    """
    plot = Figure(figsize=(4.4, 2.2), layout="constrained")
    axes = plot.subplots()
    axes.set_title(title, fontsize="medium")
    axes.set_prop_cycle(color=_CURVES)
    for name, line in lines.items():
        axes.plot(x, line, linewidth=1, label=name)
    if len(lines) > 1:
        # The best place is sought too long among many steps.
        axes.legend(loc="upper right")
    buffer = io.BytesIO()
    # Names within the file are random by default.
    with rc_context({"svg.hashsalt": "ovs3d"}):
        plot.savefig(buffer, format="svg", metadata={"Creator": None, "Date": None})
    return _embedded(buffer, "svg+xml", f'alt="{escape(title)}"')


def _embedded(file: io.BytesIO, kind: str, attributes: str) -> str:
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return f'<img {attributes} src="data:image/{kind};base64,{data}">'
