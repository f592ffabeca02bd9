"""Pictures for reports: PNG by matplotlib, in one style, small enough to lie inside a page."""

import io
from datetime import UTC
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.base.attachments import BarChart, Chart, LineChart
from tasks.base.secrets import mask
from tasks.base.units import binary_scale, human

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _PALE, _GRID = "#1c2530", "#6b7682", "#e3e7eb"
# Told apart also by who does not see all colours. Source: Okabe and Ito, "Color Universal Design", 2008.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_LIMIT, _EVENT = "#cf222e", "#8250df"
_LIMIT_STYLES = ("solid", "dashdot")  # a threshold, and the capacity behind it
_WIDTH_INCHES, _DOTS_PER_INCH = 8.4, 100
_GAP_DOTS, _TICK_DOTS, _TITLE_DOTS = 8, 24, 32
_CHARACTERS, _BAR_CHARACTERS = 80, 56
# A line of fewer points shows each of them: one between two gaps is no line and still to be seen.
_FEW_POINTS = 60


def draw(chart: Chart) -> bytes:
    """The chart as PNG of 840 pixels width, on white; labels are masked and cut."""
    # Loaded only where something is drawn: it costs 50 MB and half a second.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    height = 0.9 + 0.3 * len(chart.bars) if isinstance(chart, BarChart) else 3.2
    figure = Figure(figsize=(_WIDTH_INCHES, height), dpi=_DOTS_PER_INCH, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(_text(chart.title), loc="left", fontsize=11, color=_INK, fontweight="bold", parse_math=False)
    axes.tick_params(colors=_PALE, labelsize=9, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_GRID)
    axes.set_axisbelow(True)
    if isinstance(chart, BarChart):
        _bars(axes, chart)
    else:
        _lines(axes, chart)
    _place(axes)
    return _png(figure)


def _place(axes: "Axes") -> None:
    """Leave room for the labels at the left, the title, and the legend below.

    Measured once: matplotlib's own layouts measure everything twice and take longer than the drawing. What would take
    more than half of the picture is cut.
    """
    figure: Any = axes.figure
    renderer = figure.canvas.get_renderer()
    left = max((label.get_window_extent(renderer).width for label in axes.get_yticklabels()), default=0.0)
    below = sum(legend.get_window_extent(renderer).height for legend in figure.legends)
    width, height = figure.bbox.size
    ticks = _TICK_DOTS if len(axes.get_xticks()) else 0
    figure.subplots_adjust(
        left=min((left + 2 * _GAP_DOTS) / width, 0.5),
        right=1 - 2 * _GAP_DOTS / width,
        bottom=min((below + ticks + _GAP_DOTS) / height, 0.5),
        top=1 - _TITLE_DOTS / height,
    )


def _lines(axes: "Axes", chart: LineChart) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415

    if chart.band is not None:
        low, high = _finite(chart.band.low), _finite(chart.band.high)
        axes.fill_between(
            chart.band.at, low, high, color=_COLOURS[0], alpha=0.18, linewidth=0, label=_text(chart.band.name)
        )
    for number, line in enumerate(chart.lines):
        values = _finite(line.values)
        axes.plot(
            line.at, values, label=_text(line.name), color=_COLOURS[number % len(_COLOURS)], markersize=4,
            linewidth=1.3 if line.dashed else 1.6, linestyle="--" if line.dashed else "-",
            marker="." if not line.dashed and np.isfinite(values).sum() < _FEW_POINTS else "",
        )  # fmt: skip
    for limit, style in zip(chart.limits, cycle(_LIMIT_STYLES), strict=False):
        label = _text(f"{limit.name}: {human(limit.value, chart.unit)}")
        axes.axhline(limit.value, color=_LIMIT, linewidth=1.2, linestyle=style, label=label)
    _scale(axes, chart)
    for event in chart.events:
        at: Any = np.datetime64(event.at.astimezone(UTC).replace(tzinfo=None))
        axes.axvline(at, color=_EVENT, linewidth=1, linestyle=":")
        axes.annotate(
            _text(event.name), xy=(at, 0.98), xycoords=("data", "axes fraction"), rotation=90, fontsize=8, color=_EVENT,
            ha="right", va="top", parse_math=False, annotation_clip=True,
        )  # fmt: skip
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    dates = AutoDateLocator(maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(dates)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(dates))  # type: ignore[no-untyped-call]
    _legend(axes)


def _scale(axes: "Axes", chart: LineChart) -> None:
    """Round steps in the chart's unit, from zero when the figures are not far from it."""
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    low, high = axes.get_ylim()
    least = min((np.nanmin(_finite(line.values), initial=np.inf) for line in chart.lines), default=-1)
    if 0 <= least < 0.7 * high:
        low = 0.0
    axes.set_ylim(low, high)
    scale = binary_scale(high) if chart.unit.startswith("bytes") else 1.0
    ticks = [tick * scale for tick in MaxNLocator(6).tick_values(low / scale, high / scale)]
    ticks = [tick for tick in ticks if low <= tick <= high]
    axes.set_yticks(ticks, [human(tick, chart.unit) for tick in ticks])


def _legend(axes: "Axes") -> None:
    """Below the picture, when there is more than one thing to tell apart."""
    handles, labels = axes.get_legend_handles_labels()
    if len(handles) < 2:
        return
    legend = axes.figure.legend(handles, labels, loc="lower left", ncols=4, fontsize=8, frameon=False, labelcolor=_INK)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _bars(axes: "Axes", chart: BarChart) -> None:
    places = np.arange(len(chart.bars))
    values = _finite([bar.value for bar in chart.bars])
    drawn = axes.barh(places, np.nan_to_num(values), color=_COLOURS[0], height=0.62)
    axes.bar_label(drawn, [human(value, chart.unit) for value in values], padding=4, fontsize=8, color=_INK)
    axes.set_yticks(
        places, [_text(bar.label, _BAR_CHARACTERS) for bar in chart.bars], fontsize=8, color=_INK, parse_math=False
    )
    axes.set_xticks([])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.spines["bottom"].set_visible(False)


def _text(value: str, characters: int = _CHARACTERS) -> str:
    """Masked, on one line, cut; matplotlib keeps labels that begin with an underscore to itself."""
    text = " ".join(mask(value).split())
    text = text if len(text) <= characters else f"{text[: characters - 1]}…"
    return f"\N{THIN SPACE}{text}" if text.startswith("_") else text


def _finite(values: Any) -> Any:
    """Infinite figures are gaps too: an axis cannot hold them."""
    array = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(array), array, np.nan)


def _png(figure: "Figure") -> bytes:
    """With a palette of 64 colours instead of 16 million: a third of the bytes."""
    from PIL import Image  # noqa: PLC0415

    canvas: Any = figure.canvas
    canvas.draw()
    data = io.BytesIO()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    picture.quantize(64, dither=Image.Dither.NONE).save(data, format="PNG", optimize=True)
    return data.getvalue()
