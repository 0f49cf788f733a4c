"""Every method's step over the sum of its passes, a panel for each model."""

from matplotlib.figure import Figure

from analysis.figures.layout import Margins, in_rows, panels, room_for
from analysis.figures.style import INK, MUTED, PALE, styled, styles_of
from analysis.performance.targets import OTHERS, large
from benchmarks.performance.record import Performance

LIMIT = 1.03
COLUMNS = 3


@styled
def draw_steps(performance: Performance) -> Figure:
    """Dots are medians over rounds, lines the quartiles; left is cheaper, the dashed line the target."""
    models = large(performance)
    names = list(dict.fromkeys(name for model in models for name in model.steps))
    rows = in_rows(len(models), COLUMNS)
    margins = Margins(left=room_for(names), right=0.1, top=0.25, bottom=0.4, across=0.15, down=0.5)
    figure, axes = panels(rows, 0.13 * len(names), margins, share_x=True, share_y=True)
    styles = styles_of(name for name in names if name not in OTHERS)
    for place, (axis, model) in enumerate(zip(axes, models, strict=True)):
        axis.set_title(f"{model.model}, {model.examples} × {model.length}")
        axis.axvline(1.0, color=MUTED, linewidth=0.6, zorder=0)
        axis.axvline(LIMIT, color=PALE, linewidth=0.8, linestyle="--", zorder=0)
        for height, name in enumerate(reversed(names)):
            if name not in model.steps:
                continue
            ratio = model.over(name)
            color = styles[name].color if name in styles else PALE
            axis.plot([ratio.low, ratio.high], [height, height], color=color, linewidth=1.0)
            axis.plot(ratio.median, height, "o", color=color, markersize=3)
        axis.set_yticks(range(len(names)), reversed(names), color=INK)
        axis.tick_params(labelleft=place % COLUMNS == 0, left=False)
        axis.set_xlabel("step / its passes")
    return figure
