"""Writes Parquet files from a JSON document: make_parquet.py TABLES.json FOLDER

The document maps a file's name to {"columns": [[name, type], ...], "rows": [[value, ...], ...]}. Types are written as in
feature views; timestamps are microseconds since 1970, bytes are base64, "NaN" is a float that is not a number.
"""

import base64
import json
import pathlib
import sys

import pyarrow
import pyarrow.parquet

SCALARS = {
    "bool": pyarrow.bool_(),
    "int32": pyarrow.int32(),
    "int64": pyarrow.int64(),
    "float32": pyarrow.float32(),
    "float64": pyarrow.float64(),
    "timestamp": pyarrow.timestamp("us", tz="UTC"),
    "string": pyarrow.string(),
    "bytes": pyarrow.binary(),
}


def arrow_type(name):
    if name.startswith("list<"):
        return pyarrow.list_(SCALARS[name[5:-1]])
    return SCALARS[name]


def cell(value, name):
    if value is None:
        return None
    if name.startswith("list<"):
        return [cell(element, name[5:-1]) for element in value]
    if name == "bytes":
        return base64.b64decode(value, validate=True)
    if name.startswith("float"):
        return float(value)
    return value


def main(tables, folder):
    for file, table in json.loads(pathlib.Path(tables).read_text()).items():
        columns = {}
        for index, (name, kind) in enumerate(table["columns"]):
            values = [cell(row[index], kind) for row in table["rows"]]
            columns[name] = pyarrow.array(values, arrow_type(kind))
        pyarrow.parquet.write_table(pyarrow.table(columns), pathlib.Path(folder) / file)


if __name__ == "__main__":
    main(*sys.argv[1:])
