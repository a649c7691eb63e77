"""Figure: how networks are built, drawn from the networks themselves."""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from torch import nn

from harmonization.learning.layers import count_parameters
from harmonization.learning.network import Network
from harmonization.report.style import MM, PRINT
from harmonization.report.tracing import Step, trace

# mm
BOX, SIGN, ROW, TITLE, MARGIN = (17.0, 11.0), (6.0, 6.5), 15.5, 9.0, 3.0
ARROW = 4.2  # between columns
FONT, LINE = 6.0, 1.15
KEY = (
    "In a box: layer; kernel, channels in and out; number of parameters.\n"
    "Source and predictions: channels and voxels of a patch. Red: also in the training loss."
)


@dataclass(frozen=True)
class Placed:
    """A step and its place: centre, width and height, mm; y runs down."""

    step: Step
    x: float
    y: float
    width: float
    height: float


def draw_architectures(networks: dict[str, Network], window: int) -> Figure:
    """Draw networks below each other: a box for each layer, with what it reads and how large it is.

    All text in the boxes comes from running the networks, see `tracing.trace`.

    Parameters
    ----------
    networks : dict of str to Network
        By label.
    window : int
        Edge of their input, source voxels.
    """
    drawn = {label: arrange(network, trace(network, window)) for label, network in networks.items()}
    heights = [TITLE + max(p.y for p in placed) + ROW / 2 + MARGIN for placed in drawn.values()]
    page = sum(heights) + TITLE
    widest = max(p.x + p.width / 2 for placed in drawn.values() for p in placed)
    width = max(PRINT, widest + MARGIN)
    figure = plt.figure(figsize=(width * MM, page * MM))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, width), ylim=(page, 0))
    axis.set_axis_off()
    top = 0.0
    for (label, placed), height in zip(drawn.items(), heights, strict=True):
        network = networks[label]
        size = f"{type(network).__name__}, {count_parameters(network):,} parameters"
        axis.text(MARGIN, top + 3, f"{label}: {size}", fontsize=8, va="center")
        draw_network(axis, network, placed, top + TITLE)
        top += height
    axis.text(MARGIN, page - TITLE / 2, KEY, fontsize=FONT + 0.5, va="center")
    return figure


def arrange(network: Network, steps: list[Step]) -> list[Placed]:
    """Place steps from left to right; parallel parts of the network lie in rows of their own."""
    columns = columns_of(steps)
    rows = rows_of(network, steps)
    heights: list[float] = []
    for step in steps:
        lane = lane_of(network, step)
        before = [heights[n] for n in step.feeds_on]
        if lane:
            heights.append(ROW * rows[lane])
        elif step.kind == "window":
            heights.append(ROW * max(len(rows) - 1, 0) / 2)
        else:
            heights.append(sum(before) / len(before))
    # The window stands before the middle of what reads it.
    readers = [heights[n] for n, step in enumerate(steps) if 0 in step.feeds_on]
    heights[0] = (min(readers) + max(readers)) / 2
    wide = [
        max(size_of(s)[0] for s, c in zip(steps, columns, strict=True) if c == column)
        for column in range(max(columns) + 1)
    ]
    lefts = [MARGIN + sum(wide[:column]) + ARROW * column for column in range(len(wide))]
    placed = []
    for step, column, y in zip(steps, columns, heights, strict=True):
        width, height = size_of(step)
        sources = [heights[n] for n in step.feeds_on]
        if step.kind == "module" and len(sources) > 1:
            height += max(sources) - min(sources)
        placed.append(Placed(step, lefts[column] + wide[column] / 2, y + ROW / 2, width, height))
    return placed


def columns_of(steps: list[Step]) -> list[int]:
    """Column of each step: after all that it reads; operations and outputs as late as can be."""
    columns: list[int] = []
    for step in steps:
        columns.append(1 + max((columns[n] for n in step.feeds_on), default=-1))
    last = max(columns)
    for number, step in reversed(list(enumerate(steps))):
        readers = [columns[n] for n, other in enumerate(steps) if number in other.feeds_on]
        if step.kind == "output":
            columns[number] = last
        elif step.kind == "operation" and readers:
            columns[number] = min(readers) - 1
    return columns


def lane_of(network: Network, step: Step) -> str | None:
    """Part of a network that is one among parallel ones, such as a head: its path, or None."""
    holder, *rest = step.name.split(".")
    parallel = step.kind == "module" and isinstance(getattr(network, holder, None), nn.ModuleDict)
    return f"{holder}.{rest[0]}" if parallel else None


def rows_of(network: Network, steps: list[Step]) -> dict[str, int]:
    """Row of each parallel part: each comes after the part that it reads."""
    order: list[str] = []
    for step in steps:
        lane = lane_of(network, step)
        if not lane or lane in order:
            continue
        read = [lane_of(network, steps[n]) for n in step.feeds_on]
        after = [order.index(other) + 1 for other in read if other in order]
        order.insert(max(after, default=len(order)), lane)
    return {lane: row for row, lane in enumerate(order)}


def size_of(step: Step) -> tuple[float, float]:
    """Width and height of the box of a step, mm."""
    return SIGN if step.kind == "operation" else BOX


def draw_network(axis: Axes, network: Network, placed: list[Placed], top: float) -> None:
    """Draw the parts, arrows and boxes of a network below `top`, mm."""
    lanes: dict[str, list[Placed]] = {}
    for place in placed:
        if lane := lane_of(network, place.step):
            lanes.setdefault(lane, []).append(place)
    holders = {lane.split(".")[0] for lane in lanes}
    for lane, members in lanes.items():
        # Parts of one kind need no more than their own names, which are no wider than a box.
        name = lane if len(holders) > 1 else lane.split(".", 1)[1]
        draw_lane(axis, name, members, top)
    for place in placed:
        for number in place.step.feeds_on:
            draw_arrow(axis, placed[number], place, top)
    for place in placed:
        draw_box(axis, place, top)


def draw_lane(axis: Axes, name: str, members: list[Placed], top: float) -> None:
    """Draw the background of a parallel part with its name."""
    left = min(p.x - p.width / 2 for p in members) - 1
    right = max(p.x + p.width / 2 for p in members) + 1
    upper = top + members[0].y - BOX[1] / 2 - 3.1
    height = BOX[1] + 3.8
    axis.add_patch(plt.Rectangle((left, upper), right - left, height, color="0.93", lw=0, zorder=0))
    axis.text(left + 0.8, upper + 1.5, name, fontsize=FONT, color="0.35", va="center", zorder=3)


def draw_arrow(axis: Axes, start: Placed, end: Placed, top: float) -> None:
    """Draw an arrow from a step to one that reads it."""
    # A tall box is met at the height of the other.
    first, second = (
        min(max(other.y, own.y - own.height / 2 + BOX[1] / 2), own.y + own.height / 2 - BOX[1] / 2)
        if own.height > BOX[1]
        else own.y
        for own, other in ((start, end), (end, start))
    )
    axis.annotate(
        "",
        (end.x - end.width / 2, top + second),
        (start.x + start.width / 2, top + first),
        arrowprops={"arrowstyle": "-|>", "lw": 0.6, "color": "0.2", "shrinkA": 0, "shrinkB": 0},
        zorder=1,
    )


def draw_box(axis: Axes, place: Placed, top: float) -> None:
    """Draw a step with its text."""
    step = place.step
    corner = (place.x - place.width / 2, top + place.y - place.height / 2)
    axis.add_patch(
        FancyBboxPatch(
            corner,
            place.width,
            place.height,
            boxstyle="round,pad=0,rounding_size=0.8",
            facecolor=colour_of(step),
            edgecolor="#c02020" if step.notes else "0.3",
            lw=0.6,
            zorder=2,
        )
    )
    text = "\n".join(step.lines)
    axis.text(
        *(place.x, top + place.y),
        text,
        fontsize=FONT,
        ha="center",
        va="center",
        linespacing=LINE,
        zorder=3,
    )
    if step.notes:
        axis.text(
            *(place.x + place.width / 2 + 1.6, top + place.y + BOX[1] / 2 - 1.2),
            "\n".join(step.notes),
            fontsize=FONT,
            color="#c02020",
            va="center",
            zorder=3,
        )


def colour_of(step: Step) -> tuple[float, float, float] | str:
    """Colour of a box, by what the step is."""
    pastel = sns.color_palette("pastel")
    if step.kind != "module":
        return {"window": "0.85", "operation": "white", "output": pastel[8]}[step.kind]
    kinds = {"Conv3d": pastel[0], "Upscale": pastel[2]}
    return kinds.get(step.lines[0].split(",")[0], pastel[1])
