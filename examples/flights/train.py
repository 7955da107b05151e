"""Trains the model behind the `arrival_delay` endpoint: will a flight arrive more than 15 minutes late?

The question is asked two hours before the scheduled departure, and every feature is what was known at that moment,
by the same view SQL that Tidegate materializes. Trained on January to October 2013, tested on November.

    pip install -r requirements.txt && python train.py

writes models/arrival_delay.onnx, models/arrival_delay.metrics.json and tests/training_rows.json. One thread and
fixed seeds: the same data and versions give the same model.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"
# ONNX Runtime reads this when it is imported: nothing is reported to its makers
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, Int32TensorType, Int64TensorType, StringTensorType

import definitions
import point_in_time
import training_rows

HERE = Path(__file__).resolve().parent
NAME = "arrival_delay"
SEED = 2013
# What the model reads: a subset of the service. `month` stays out, because a model that has not seen November can
# learn nothing from an 11; identifiers and instants stay out, because this kind of model cannot use them well.
INPUTS = [
    "origin_weather__temp",
    "origin_weather__wind_speed",
    "origin_weather__wind_gust",
    "origin_weather__precip",
    "origin_weather__pressure",
    "origin_weather__visib",
    "aircraft__built_year",
    "aircraft__engines",
    "aircraft__seats",
    "aircraft__engine",
    "aircraft_last_flight__arr_delay",
    "carrier_delay_24h__mean_arr_delay",
    "carrier_delay_24h__late_share",
    "carrier_delay_24h__flights",
    "origin_delay_3h__mean_dep_delay",
    "origin_delay_3h__departures",
    "route_delay_7d__mean_arr_delay",
    "route_delay_7d__late_share",
    "route_delay_7d__flights",
    "distance",
    "hour",
    "weekday",
]
TENSORS = {
    "float32": (FloatTensorType, np.float32),
    "int32": (Int32TensorType, np.int32),
    "int64": (Int64TensorType, np.int64),
    "string": (StringTensorType, object),
}
# A missing float arrives as NaN and becomes a number below every real one, so that a tree can tell the two apart.
MISSING = -1000.0
TRAIN_END = pd.Timestamp("2013-11-01T00:00:00Z")
TEST_END = pd.Timestamp("2013-12-01T00:00:00Z")


def main() -> None:
    project = definitions.load(HERE, NAME)
    rows = point_in_time.join(project)
    inputs = model_inputs(rows, project)
    # An outcome is known once the flight has arrived: one that was still in the air when November began is not used.
    known = rows.late.notna()
    train = known & (rows.arr_time < TRAIN_END)
    test = known & (rows.prediction_time >= TRAIN_END) & (rows.prediction_time < TEST_END)
    pipeline = pipeline_for(project).fit(inputs[train], rows.late[train].astype(int))

    model = to_onnx(pipeline, project)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    check(session, pipeline, inputs[test])
    onnx.save(model, HERE / f"models/{NAME}.onnx")

    figures = metrics(rows, train, test, run(session, inputs[test]))
    (HERE / f"models/{NAME}.metrics.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    chosen = training_rows.choose(rows, project)
    probability = run(session, inputs.iloc[chosen])
    training_rows.write(HERE / "tests/training_rows.json", rows.iloc[chosen], probability, project)
    print(json.dumps(figures, indent=2))


def model_inputs(rows: pd.DataFrame, project: definitions.Project) -> pd.DataFrame:
    """The model's columns with the declared defaults in place of what is missing, as serving applies them."""
    columns = project.columns()
    filled = {}
    for name in INPUTS:
        feature = columns[name]
        column = rows[name] if feature.default is None else rows[name].fillna(feature.default)
        filled[name] = column.astype(TENSORS[feature.type][1])
    return pd.DataFrame(filled)


def pipeline_for(project: definitions.Project) -> Pipeline:
    columns = project.columns()

    def of(*types: str) -> list[str]:
        return [name for name in INPUTS if columns[name].type in types]

    encode = ColumnTransformer(
        [
            ("floats", SimpleImputer(strategy="constant", fill_value=MISSING), of("float32")),
            ("integers", "passthrough", of("int32", "int64")),
            ("words", OneHotEncoder(handle_unknown="ignore", sparse_output=False), of("string")),
        ]
    )
    trees = GradientBoostingClassifier(
        n_estimators=150, max_depth=4, learning_rate=0.1, subsample=0.2, min_samples_leaf=50, random_state=SEED
    )
    return Pipeline([("encode", encode), ("trees", trees)])


def to_onnx(pipeline: Pipeline, project: definitions.Project) -> onnx.ModelProto:
    """The pipeline as a graph with one `[n, 1]` input per column, by name, and the outputs `probability` and `label`.

    scikit-learn answers `[n, 2]`, one column per class; the graph keeps the column of "late" as `probability`.
    """
    columns = project.columns()
    initial = [(name, TENSORS[columns[name].type][0]([None, 1])) for name in INPUTS]
    options = {id(pipeline): {"zipmap": False}}
    model = convert_sklearn(pipeline, NAME, initial, options=options, target_opset={"": 17, "ai.onnx.ml": 3})
    graph = model.graph
    graph.initializer.append(onnx.helper.make_tensor("late_class", onnx.TensorProto.INT64, [], [1]))
    graph.node.append(
        onnx.helper.make_node("Gather", ["probabilities", "late_class"], ["probability"], "only_late", axis=1)
    )
    label = next(output for output in graph.output if output.name == "label")
    probability = onnx.helper.make_tensor_value_info("probability", onnx.TensorProto.FLOAT, [None])
    del graph.output[:]
    graph.output.extend([probability, label])
    # The exporter writes these in an order of its own that differs from run to run.
    model.opset_import.sort(key=lambda opset: opset.domain)
    onnx.checker.check_model(model, full_check=True)
    return model


def run(session: onnxruntime.InferenceSession, inputs: pd.DataFrame) -> np.ndarray:
    feeds = {name: inputs[name].to_numpy().reshape(-1, 1) for name in INPUTS}
    return session.run(["probability"], feeds)[0]


def check(session: onnxruntime.InferenceSession, pipeline: Pipeline, inputs: pd.DataFrame) -> None:
    """The exported graph answers what scikit-learn answers, in one batch and row by row."""
    batch = run(session, inputs)
    np.testing.assert_allclose(batch, pipeline.predict_proba(inputs)[:, 1], rtol=0, atol=1e-5)
    alone = [run(session, inputs[row : row + 1])[0] for row in range(0, len(inputs), 100)]
    np.testing.assert_allclose(alone, batch[::100], rtol=0, atol=1e-6)


def metrics(rows: pd.DataFrame, train: pd.Series, test: pd.Series, probability: np.ndarray) -> dict:
    late = rows.late[test].astype(int)
    base_rate = float(rows.late[train].mean())
    return {
        "model": NAME,
        "question": "arr_delay > 15, asked two hours before sched_dep",
        "label_rows": len(rows),
        "label_rows_without_outcome": int(rows.late.isna().sum()),
        "train": {"arrived_before": TRAIN_END.isoformat(), "rows": int(train.sum()), "late_share": round(base_rate, 4)},
        "test": {
            "predicted_from": TRAIN_END.isoformat(),
            "predicted_before": TEST_END.isoformat(),
            "rows": int(test.sum()),
            "late_share": round(float(late.mean()), 4),
            "auc": round(float(roc_auc_score(late, probability)), 4),
            "log_loss": round(float(log_loss(late, probability.astype(float))), 4),
            "log_loss_of_train_base_rate": round(float(log_loss(late, np.full(len(late), base_rate))), 4),
        },
    }


if __name__ == "__main__":
    main()
