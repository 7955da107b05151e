"""Reads the project's YAML definitions: the one place where views, types, ttls and defaults are written."""

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import yaml

SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


@dataclass(frozen=True)
class Feature:
    """A feature of a view, or a value that the request brings."""

    name: str
    type: str
    default: object = None


@dataclass(frozen=True)
class View:
    """A feature view; `keys` are the join keys of its entities."""

    name: str
    sql: str
    keys: tuple[str, ...]
    timestamp_field: str
    ttl: timedelta | None
    features: tuple[Feature, ...]


@dataclass(frozen=True)
class Project:
    """The sources by name and path, the views, and the request values of one feature service."""

    sources: dict[str, Path]
    views: tuple[View, ...]
    request: tuple[Feature, ...]

    def columns(self) -> dict[str, Feature]:
        """Every column of the service's dataset: `view__feature` in order, then the request values."""
        features = {f"{view.name}__{feature.name}": feature for view in self.views for feature in view.features}
        return features | {value.name: value for value in self.request}


def load(folder: Path, service: str) -> Project:
    """Loads the definitions in `folder` with the views that `service` names, each as `view:*`."""
    documents = [
        document
        for path in sorted(folder.glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]
    kinds = {(each["kind"], each["name"]): each for each in documents if "kind" in each}
    sources = {name: folder / each["parquet"]["path"] for (kind, name), each in kinds.items() if kind == "DataSource"}
    chosen = kinds["FeatureService", service]
    views = []
    for reference in chosen["features"]:
        view, star = reference.split(":")
        if star != "*":
            raise ValueError(f"{reference}: this example takes whole views only")
        views.append(_view(kinds["FeatureView", view], kinds))
    return Project(sources, tuple(views), tuple(Feature(**_only(each)) for each in chosen["request"]))


def _view(document: dict, kinds: dict) -> View:
    keys = [key["name"] for entity in document["entities"] for key in kinds["Entity", entity]["join_keys"]]
    return View(
        name=document["name"],
        sql=document["sql"],
        keys=tuple(keys),
        timestamp_field=document["timestamp_field"],
        ttl=_duration(document["ttl"]) if "ttl" in document else None,
        features=tuple(Feature(**_only(each)) for each in document["features"]),
    )


def _only(document: dict) -> dict:
    return {key: document[key] for key in ("name", "type", "default") if key in document}


def _duration(text: str) -> timedelta:
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h|d)", text).groups()
    return timedelta(seconds=int(number) * SECONDS[unit])
