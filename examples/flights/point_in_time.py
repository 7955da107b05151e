"""The point-in-time join of the feature service with its label rows, by DuckDB's ASOF join.

For a label row (keys, T) a view's candidates have equal keys and `T - ttl <= event <= T`, both ends included; the
winner has the greatest event time and, among equal times, the greatest content.
"""

import struct
from datetime import timedelta

import duckdb

from definitions import Project, View

# One row per scheduled flight. T is the moment of prediction; `late` is null for what never arrived. Hour, weekday
# (1 = Monday) and month are those of the scheduled departure in UTC.
LABEL_ROWS = """
CREATE TABLE label_rows AS
SELECT flight_id, carrier, tailnum, origin, dest, sched_dep - INTERVAL '2 hours' AS prediction_time, arr_time,
       arr_delay > 15 AS late, distance,
       CAST(date_part('hour', sched_dep) AS INTEGER) AS hour,
       CAST(date_part('isodow', sched_dep) AS INTEGER) AS weekday,
       CAST(date_part('month', sched_dep) AS INTEGER) AS month
FROM flights ORDER BY flight_id
"""
PACKED = {"int32": "<i", "int64": "<q", "float32": "<f"}


def join(project: Project):
    """Returns a frame with every label row, in order of `flight_id`, and every feature as stored: no defaults.

    `view__event_timestamp` is the winner's event time, null where there is none.
    """
    database = duckdb.connect()
    database.sql("SET TimeZone = 'UTC'")
    for name, path in project.sources.items():
        database.sql(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{path}')")
    database.sql(LABEL_ROWS)
    for view in project.views:
        _rows_of(view, database)
    return database.sql(_join_sql(project)).df()


def _join_sql(project: Project) -> str:
    columns, joins = ["label_rows.*"], []
    for view in project.views:
        equal = " AND ".join(f"label_rows.{key} = {view.name}.{key}" for key in view.keys)
        joins.append(f"ASOF LEFT JOIN {view.name} ON {equal} AND prediction_time >= {view.name}.event_timestamp")
        alive = "TRUE"
        if view.ttl:
            microseconds = view.ttl // timedelta(microseconds=1)
            alive = f"{view.name}.event_timestamp >= prediction_time - to_microseconds({microseconds})"
        for name in ["event_timestamp", *(feature.name for feature in view.features)]:
            columns.append(f"CASE WHEN {alive} THEN {view.name}.{name} END AS {view.name}__{name}")
    return f"SELECT {', '.join(columns)} FROM label_rows {' '.join(joins)} ORDER BY flight_id"


def _rows_of(view: View, database) -> None:
    """Creates the view's table with one row per key and event time."""
    names = [feature.name for feature in view.features]
    database.sql(
        f"CREATE TABLE {view.name} AS SELECT DISTINCT {', '.join(view.keys)}, "
        f"CAST({view.timestamp_field} AS TIMESTAMPTZ) AS event_timestamp, {', '.join(names)} FROM ({view.sql})"
    )
    cell = f"{', '.join(view.keys)}, event_timestamp"
    tied = database.sql(
        f"SELECT rowid, dense_rank() OVER (ORDER BY {cell}) AS cell, {', '.join(names)} "
        f"FROM {view.name} QUALIFY count(*) OVER (PARTITION BY {cell}) > 1"
    ).fetchall()
    greatest: dict[int, tuple[bytes, int]] = {}
    for rowid, number, *values in tied:
        candidate = (_content(view, values), rowid)
        greatest[number] = max(greatest.get(number, candidate), candidate)
    losers = {row[0] for row in tied} - {rowid for _, rowid in greatest.values()}
    if losers:
        database.sql(f"DELETE FROM {view.name} WHERE rowid IN ({', '.join(map(str, losers))})")


def _content(view: View, values: list) -> bytes:
    """The content part of the canonical row bytes: null bitmap, fixed slots in declared order, variable values."""
    nulls = bytearray((len(values) + 7) // 8)
    fixed, variable = bytearray(), bytearray()
    for index, (feature, value) in enumerate(zip(view.features, values)):
        if value is None:
            nulls[index // 8] |= 1 << index % 8
        if feature.type == "string":
            variable += (value or "").encode()
            fixed += struct.pack("<I", len(variable))
        elif feature.type == "timestamp":
            fixed += struct.pack("<q", 0 if value is None else round(value.timestamp() * 1_000_000))
        else:
            fixed += struct.pack(PACKED[feature.type], 0 if value is None else value)
    return bytes(nulls + fixed + variable)
