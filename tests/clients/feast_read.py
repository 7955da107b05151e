"""Reads features from a server with Feast's own client: feast_read.py URL FOLDER ASKS.json

FOLDER becomes a Feast repository whose online store is the server. Each entry of ASKS.json is one read, by name:
{"features": [...] or "feature_service": name, "entities": {join key: [values]}, "full_feature_names": bool} goes through
FeatureStore.get_online_features; {"plain": body} is posted as it is. Prints one JSON document, by the same names: what
the client returned as {"values": {name: [...]}, "statuses": {name: [...]}}, or what the server answered to a plain one.
"""

import json
import pathlib
import sys
import urllib.request
from datetime import timedelta

from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast import types as feast_types
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus

SCALARS = {
    "ok": feast_types.Bool,
    "n32": feast_types.Int32,
    "n64": feast_types.Int64,
    "f32": feast_types.Float32,
    "f64": feast_types.Float64,
    "seen": feast_types.UnixTimestamp,
    "city": feast_types.String,
    "blob": feast_types.Bytes,
}


def definitions():
    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
    place = Entity(name="place", join_keys=["place"], value_type=ValueType.STRING)
    lists = {name + "s": feast_types.Array(kind) for name, kind in SCALARS.items()}
    stats = FeatureView(
        name="stats",
        entities=[driver],
        schema=[Field(name="driver_id", dtype=feast_types.Int64)]
        + [Field(name=name, dtype=kind) for name, kind in {**SCALARS, **lists}.items()],
        ttl=timedelta(hours=24),
        source=FileSource(name="stats_file", path="data/stats.parquet", timestamp_field="event"),
    )
    weather = FeatureView(
        name="weather",
        entities=[place],
        schema=[Field(name="place", dtype=feast_types.String), Field(name="temp", dtype=feast_types.Float32)],
        source=FileSource(name="weather_file", path="data/weather.parquet", timestamp_field="event"),
    )
    at_the_end = weather.with_name("dest_weather").with_join_key_map({"place": "dest"})
    services = [
        FeatureService(name="driver", features=[stats]),
        FeatureService(name="trip", features=[stats[["city"]], weather, at_the_end]),
    ]
    return [driver, place, stats, weather, *services]


def repository(url, folder):
    folder = pathlib.Path(folder)
    settings = {
        "project": "feast_client",
        "provider": "local",
        "registry": str(folder / "registry.db"),
        "online_store": {"type": "remote", "path": url},
        "offline_store": {"type": "file"},
        "entity_key_serialization_version": 3,
    }
    # JSON is YAML
    (folder / "feature_store.yaml").write_text(json.dumps(settings))
    store = FeatureStore(repo_path=str(folder))
    store.apply(definitions())
    return store


def read(store, ask):
    service = ask.get("feature_service")
    response = store.get_online_features(
        features=store.get_feature_service(service) if service else ask["features"],
        entity_rows=ask["entities"],
        full_feature_names=ask["full_feature_names"],
    )
    names = response.proto.metadata.feature_names.val
    statuses = [[FieldStatus.Name(status) for status in column.statuses] for column in response.proto.results]
    return {"values": response.to_dict(), "statuses": dict(zip(names, statuses, strict=True))}


def post(url, body):
    request = urllib.request.Request(
        url + "/get-online-features", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def main(url, folder, asks):
    store = repository(url, folder)
    answers = {}
    for name, ask in json.loads(pathlib.Path(asks).read_text()).items():
        answers[name] = post(url, ask["plain"]) if "plain" in ask else read(store, ask)
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
