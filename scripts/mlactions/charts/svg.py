"""SVG elements as text: every attribute and every word escaped, coordinates short."""

from __future__ import annotations

import html
from dataclasses import dataclass, field

from mlactions.text import one_line, shorten, width

FONT = 12.0
"""Size of the labels in pixels; the style sheet sets the same."""
_CELL = 6.9


def escape(text: str) -> str:
    """Return one line of data as text of HTML or SVG, also inside a quoted attribute."""
    return html.escape(one_line(text))


def text_size(text: str) -> float:
    """Return an upper estimate of a label's length in pixels: fonts differ between readers."""
    return width(one_line(text)) * _CELL


def fitted(text: str, room: float) -> str:
    """Return a label shortened in its middle to fit into `room` pixels."""
    return shorten(one_line(text), max(int(room / _CELL), 1))


def coordinate(value: float) -> str:
    """Return pixels with one decimal."""
    return f"{value:.1f}".removesuffix(".0")


@dataclass
class Drawing:
    """An SVG image that grows by elements; `width` and `height` are its view box."""

    width: float
    height: float
    key: str
    kind: str
    title: str
    description: str
    _parts: list[str] = field(default_factory=list)

    def line(self, kind: str, start: tuple[float, float], stop: tuple[float, float]) -> None:
        """Draw a straight line."""
        (x1, y1), (x2, y2) = start, stop
        places = f'x1="{coordinate(x1)}" y1="{coordinate(y1)}"'
        self._parts.append(
            f'<line class="{kind}" {places} x2="{coordinate(x2)}" y2="{coordinate(y2)}"/>'
        )

    def box(self, kind: str, left: float, top: float, width: float, height: float) -> None:
        """Draw a rectangle with slightly rounded corners."""
        place = f'x="{coordinate(left)}" y="{coordinate(top)}"'
        size = f'width="{coordinate(width)}" height="{coordinate(height)}"'
        self._parts.append(f'<rect class="{kind}" {place} {size} rx="2"/>')

    def shape(self, kind: str, points: list[tuple[float, float]], *, closed: bool = True) -> None:
        """Draw a polygon, or a line through the points."""
        places = " ".join(f"{coordinate(x)},{coordinate(y)}" for x, y in points)
        name = "polygon" if closed else "polyline"
        self._parts.append(f'<{name} class="{kind}" points="{places}"/>')

    def dot(self, kind: str, x: float, y: float, radius: float) -> None:
        """Draw a circle."""
        place = f'cx="{coordinate(x)}" cy="{coordinate(y)}"'
        self._parts.append(f'<circle class="{kind}" {place} r="{coordinate(radius)}"/>')

    def label(
        self, text: str, x: float, y: float, *, kind: str = "", anchor: str = "start"
    ) -> None:
        """Write one line of data; `y` is its base line."""
        style = f' class="{kind}"' if kind else ""
        place = f'x="{coordinate(x)}" y="{coordinate(y)}" text-anchor="{anchor}"'
        self._parts.append(f"<text{style} {place}>{escape(text)}</text>")

    def group(self, tooltip: str) -> None:
        """Open a group whose elements share a tooltip; end it with `end_group`."""
        self._parts.append(f"<g><title>{escape(tooltip)}</title>")

    def end_group(self) -> None:
        """Close the group."""
        self._parts.append("</g>")

    def markup(self) -> str:
        """Return the image; its title and description are what a screen reader says."""
        names = f'aria-labelledby="{self.key}-title {self.key}-text"'
        size = f'viewBox="0 0 {coordinate(self.width)} {coordinate(self.height)}"'
        return (
            f'<svg class="plot {self.kind}" role="img" {size} {names}>\n'
            f'<title id="{self.key}-title">{escape(self.title)}</title>\n'
            f'<desc id="{self.key}-text">{escape(self.description)}</desc>\n'
            + "\n".join(self._parts)
            + "\n</svg>"
        )
