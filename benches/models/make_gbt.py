"""Makes gbt_100x5.onnx, the model of the `predict` benches: gradient boosting, 100 trees of depth 5 over 30 floats.

Run with scikit-learn and skl2onnx installed: python3 make_gbt.py. The data is random from a fixed seed; what the model
says does not matter, only what it costs.
"""

import pathlib

import numpy
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import GradientBoostingClassifier

FEATURES = 30
SEED = 7


def main() -> None:
    random = numpy.random.default_rng(SEED)
    x = random.normal(size=(4_000, FEATURES)).astype(numpy.float32)
    y = (x[:, ::3].sum(axis=1) + x[:, 1] * x[:, 2] + random.normal(size=len(x)) > 0).astype(numpy.int64)
    model = GradientBoostingClassifier(n_estimators=100, max_depth=5, random_state=SEED).fit(x, y)
    onnx = convert_sklearn(
        model,
        initial_types=[("features", FloatTensorType([None, FEATURES]))],
        options={id(model): {"zipmap": False}},
        target_opset=15,
    )
    path = pathlib.Path(__file__).with_name("gbt_100x5.onnx")
    path.write_bytes(onnx.SerializeToString())
    outputs = [output.name for output in onnx.graph.output]
    print(f"{path.name}: {path.stat().st_size} bytes, outputs {outputs}, score {model.score(x, y):.3f}")


if __name__ == "__main__":
    main()
