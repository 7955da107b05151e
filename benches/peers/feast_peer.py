"""Feast as the benches measure it: a repository on Redis with the same data as ours.

feast_peer.py prepare FOLDER HOST:PORT VALUES KEYS VIEWS FEATURES EVENT_US
    Writes FOLDER/view_N.parquet (id, event, created, f0...) from VALUES, little-endian float32 by view, key, feature,
    and a repository over them with its registry.
feast_peer.py materialize FOLDER
    Materializes every view and prints the seconds that took, Python's start and imports left out.
"""

import json
import pathlib
import sys
import time
from datetime import datetime, timedelta, timezone

import numpy
import pyarrow
import pyarrow.parquet
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float32, Int64


def write_data(folder, values, event_us):
    views, keys, features = values.shape
    at = pyarrow.timestamp("us", tz="UTC")
    for view in range(views):
        columns = {
            "id": pyarrow.array(numpy.arange(keys, dtype=numpy.int64)),
            "event": pyarrow.array(numpy.full(keys, event_us, dtype=numpy.int64), at),
            "created": pyarrow.array(numpy.full(keys, event_us + 1_000_000, dtype=numpy.int64), at),
        }
        for feature in range(features):
            columns[f"f{feature}"] = pyarrow.array(values[view, :, feature])
        pyarrow.parquet.write_table(pyarrow.table(columns), folder / f"view_{view + 1}.parquet")


def definitions(folder, views, features):
    entity = Entity(name="id", join_keys=["id"], value_type=ValueType.INT64)
    made = []
    for number in range(1, views + 1):
        source = FileSource(
            name=f"source_{number}",
            path=str(folder / f"view_{number}.parquet"),
            timestamp_field="event",
            created_timestamp_column="created",
        )
        schema = [Field(name="id", dtype=Int64)] + [Field(name=f"f{at}", dtype=Float32) for at in range(features)]
        # without a limit on age, as in our definitions
        made.append(
            FeatureView(name=f"view_{number}", entities=[entity], schema=schema, source=source, ttl=timedelta(0))
        )
    return [entity, *made, FeatureService(name="score", features=made)]


def prepare(folder, redis, values, keys, views, features, event_us):
    folder = pathlib.Path(folder)
    settings = {
        "project": "bench",
        "provider": "local",
        "registry": {"path": str(folder / "registry.db"), "cache_ttl_seconds": 3600},
        "online_store": {"type": "redis", "connection_string": redis},
        "offline_store": {"type": "file"},
        "entity_key_serialization_version": 3,
    }
    # JSON is YAML
    (folder / "feature_store.yaml").write_text(json.dumps(settings))
    shape = (int(views), int(keys), int(features))
    write_data(folder, numpy.fromfile(values, dtype="<f4").reshape(shape), int(event_us))
    FeatureStore(repo_path=str(folder)).apply(definitions(folder, shape[0], shape[2]))


def materialize(folder):
    store = FeatureStore(repo_path=folder)
    start = datetime(2000, 1, 1, tzinfo=timezone.utc)
    end = datetime.now(timezone.utc)
    before = time.monotonic()
    store.materialize(start, end)
    print(time.monotonic() - before)


if __name__ == "__main__":
    {"prepare": prepare, "materialize": materialize}[sys.argv[1]](*sys.argv[2:])
