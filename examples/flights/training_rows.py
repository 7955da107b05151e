"""Writes some label rows with their features as stored (no defaults), for a test against the winner function.

The file is one JSON object of columns: `flight_id`, `prediction_time`, the join keys, the request values, then per
view `view__event_timestamp` (of the winner, null where there is none) and `view__feature`, and last the model's
`probability`, made with the declared defaults. Instants are microseconds since 1970 in UTC. A float is the shortest
text that is this float32 again.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from definitions import Project

ROWS = 500
SEED = 2013
# Its aircraft has two arrivals at one instant: only the content of the rows decides which of them counts.
TIED_FLIGHT = 183_314
# How many rows of each edge are taken before the rest is drawn at random.
PER_EDGE = 4


def choose(rows: pd.DataFrame, project: Project) -> list[int]:
    """Positions in `rows`: the edges of time and keys first, the rest at random, in order."""
    edges = [rows.flight_id == TIED_FLIGHT, rows.tailnum.isna()]
    for view in project.views:
        event = rows[f"{view.name}__event_timestamp"]
        edges += [event == rows.prediction_time, event.isna()]
        if view.ttl:
            edges.append(event == rows.prediction_time - view.ttl)
    drawn = np.random.default_rng(SEED).permutation(len(rows))
    first = [row for edge in edges for row in drawn[edge.to_numpy()[drawn]][:PER_EDGE]]
    return sorted(list(dict.fromkeys([*first, *drawn]))[:ROWS])


def write(path: Path, rows: pd.DataFrame, probability: np.ndarray, project: Project) -> None:
    """Writes `rows` and the model's answer to each."""
    keys = sorted({key for view in project.views for key in view.keys})
    names = ["flight_id", "prediction_time", *keys, *(value.name for value in project.request)]
    for view in project.views:
        names += [f"{view.name}__{name}" for name in ["event_timestamp", *(each.name for each in view.features)]]
    columns = {name: [_plain(value) for value in rows[name]] for name in names}
    columns["probability"] = [_plain(value) for value in probability]
    lines = [f"{json.dumps(name)}: {json.dumps(values)}" for name, values in columns.items()]
    path.parent.mkdir(exist_ok=True)
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _plain(value):
    if pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return value.value // 1_000 if value.unit == "ns" else round(value.timestamp() * 1_000_000)
    if isinstance(value, (float, np.floating)):
        short = float(str(np.float32(value)))
        assert np.float32(short) == np.float32(value)
        return short
    return value if isinstance(value, str) else int(value)
