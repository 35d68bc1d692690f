"""Line charts as SVG text, small and without scripts: axes with round numbers, linear or logarithmic.

Colours are the page's (CSS classes c0, c1 …), so that a chart follows its light or dark scheme.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

COLOURS = 6

_WIDTH, _HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 26, 44
_MOST_DOTS = 60
"""The most dots on a line; more would hide it."""


@dataclass(frozen=True)
class Axis:
    """One side of a chart."""

    label: str
    low: float
    high: float
    log: bool = False
    text: Callable[[float], str] = lambda value: f"{value:,.6g}"
    ticks: Sequence[float] = ()
    """The places of the numbers; empty: round ones are chosen."""

    def place(self, value: float) -> float:
        """Where a value lies on the axis: 0 at the low end, 1 at the high one."""
        if self.log:
            value = max(value, self.low)
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Series:
    """Points in the order of x; NaN makes a gap."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: int
    dashed: bool = False
    dots: bool = True
    """Whether each point is marked, when they are few."""


def linear(label: str, values: Sequence[float], text: Callable[[float], str] | None = None) -> Axis:
    """An axis from zero to a little beyond the highest of the values."""
    highest = max((value for value in values if math.isfinite(value)), default=0.0) or 1.0
    return Axis(label, 0.0, highest * 1.02, text=text or (lambda value: f"{value:,.6g}"))


def logarithmic(label: str, values: Sequence[float], text: Callable[[float], str] | None = None) -> Axis:
    """An axis around the values that are above zero."""
    above = [value for value in values if math.isfinite(value) and value > 0] or [1.0]
    low, high = min(above) / 1.15, max(above) * 1.15
    if high < 4 * low:
        middle = math.sqrt(low * high)
        low, high = middle / 2, middle * 2
    return Axis(label, low, high, log=True, text=text or (lambda value: f"{value:,.6g}"))


def chart(title: str, note: str, lines: Sequence[Series], x: Axis, y: Axis, marks: Sequence[float] = ()) -> str:
    """A figure with its heading, legend and a sentence on how to read it. marks: vertical lines at these x."""
    legend = "".join(
        f'<span class="c{line.colour}{" dashed" if line.dashed else ""}">{escape(line.name)}</span>' for line in lines
    )
    parts = [*_y_axis(y), *_x_axis(x)]
    parts += [f'<path class="mark" d="M{_x(x, at):.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>' for at in marks]
    for line in lines:
        parts += _drawn(line, x, y)
    return (
        f'<figure><h3>{escape(title)}</h3><div class="legend">{legend}</div>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
        f"<figcaption>{escape(note)}</figcaption></figure>"
    )


def _y_axis(axis: Axis) -> list[str]:
    parts = [f'<text x="4" y="14" class="label">{escape(axis.label)}</text>']
    for value in axis.ticks or _ticks(axis, 6):
        at = _y(axis, value)
        parts.append(f'<path class="grid" d="M{_LEFT} {at:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{escape(axis.text(value))}</text>')
    return parts


def _x_axis(axis: Axis) -> list[str]:
    base = _HEIGHT - _BOTTOM
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts = [
        f'<path class="axis" d="M{_LEFT} {base}H{_WIDTH - _RIGHT}"/>',
        f'<text x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle" class="label">{escape(axis.label)}</text>',
    ]
    for value in axis.ticks or _ticks(axis, 8):
        at = _x(axis, value)
        parts.append(f'<path class="axis" d="M{at:.1f} {base}v4"/>')
        parts.append(f'<text x="{at:.1f}" y="{base + 18}" text-anchor="middle">{escape(axis.text(value))}</text>')
    return parts


def _drawn(line: Series, x: Axis, y: Axis) -> list[str]:
    path, pen = [], "M"
    dots = []
    for at, value in line.points:
        if not math.isfinite(value):
            pen = "M"
            continue
        left, top = _x(x, at), _y(y, value)
        path.append(f"{pen}{left:.1f} {top:.1f}")
        pen = "L"
        tip = f"{line.name}: {y.text(value)} at {x.text(at)}"
        dots.append(
            f'<circle class="c{line.colour}" cx="{left:.1f}" cy="{top:.1f}" r="3"><title>{escape(tip)}</title></circle>'
        )
    dashed = " dashed" if line.dashed else ""
    drawn = [f'<path class="line c{line.colour}{dashed}" d="{"".join(path)}"/>'] if path else []
    return drawn + (dots if line.dots and len(dots) <= _MOST_DOTS else [])


def _x(axis: Axis, value: float) -> float:
    return _LEFT + axis.place(value) * (_WIDTH - _LEFT - _RIGHT)


def _y(axis: Axis, value: float) -> float:
    return _HEIGHT - _BOTTOM - axis.place(value) * (_HEIGHT - _TOP - _BOTTOM)


def _ticks(axis: Axis, most: int) -> list[float]:
    return _log_ticks(axis, most) if axis.log else _linear_ticks(axis, most)


def _linear_ticks(axis: Axis, most: int) -> list[float]:
    rough = (axis.high - axis.low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first = math.ceil(axis.low / step)
    return [round(number * step, 12) for number in range(first, math.floor(axis.high / step) + 1)]


def _log_ticks(axis: Axis, most: int) -> list[float]:
    """1, 2 and 5 times the powers of ten; the powers alone where those are too many."""
    powers = range(math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high)) + 1)
    for factors in ((1, 2, 5), (1,)):
        ticks = [factor * 10.0**power for power in powers for factor in factors]
        inside = [tick for tick in ticks if axis.low <= tick <= axis.high]
        if len(inside) <= 2 * most:
            break
    return inside
