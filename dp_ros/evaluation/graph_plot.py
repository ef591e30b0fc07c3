# Copyright 2026 The dp_ros authors
# SPDX-License-Identifier: Apache-2.0

"""The picture of ``dp_ros bench graph``: each tick's way to the controllers over time, one panel a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dp_ros.evaluation.plots import HEIGHT, WIDTH, Trace, panel
from dp_ros.whole_file import whole_file

_STYLE = """
svg{background:#fff} text{font:10px sans-serif;fill:#555} .title{font-weight:bold;fill:#222} .unit,.y{text-anchor:end}
.x{text-anchor:middle} path,polyline{fill:none} .grid{stroke:#ddd} .way{stroke:#1f5fbf} .tick{stroke:#d98a1f}
"""


def write_plot(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Blue: the camera's stamp to the controllers' message; orange: the tick alone. An SVG.

    Args:
        path: of the file.
        rows: of the benchmark, each with its 'series'.

    Raises:
        StoreError: the file cannot be written.
    """
    shown = [row for row in rows if row['series']['seconds']]
    drawn = []
    for i, row in enumerate(shown):
        series = row['series']
        at = np.array(series['seconds'], np.float64)
        way = np.array(series['stamp to controller'], np.float64)
        known = np.isfinite(way)
        title = f'tick {row["expected_hz"]:.0f} Hz, {row["load"]} busy processes'
        traces = [Trace(at[known], way[known], 'way')] if known.any() else []
        traces.append(Trace(at, np.array(series['tick'], np.float64), 'tick'))
        figure = panel(title, 'ms; blue: stamp to controller, orange: tick', traces, 5.0)
        drawn.append(f'<svg y="{i * HEIGHT}" width="{WIDTH}" height="{HEIGHT}">{figure}</svg>')
    size = (
        f'width="{2 * WIDTH}" height="{2 * HEIGHT * len(shown)}" viewBox="0 0 {WIDTH} {HEIGHT * len(shown)}"'
    )
    with whole_file(path, 'the plot') as beside:
        beside.write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{_STYLE}</style>{"".join(drawn)}</svg>\n'
        )
