"""Makes the small ONNX models of the tests. Needs the `onnx` package; run it in this folder: python make.py

The models are committed: the tests do not need Python. IR and opset are those of today's scikit-learn exports.
"""

import onnx
from onnx import TensorProto, helper, numpy_helper
import numpy as np

F32, F64, I32, I64 = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT32, TensorProto.INT64
BOOL, STRING = TensorProto.BOOL, TensorProto.STRING
OPSETS = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
value = helper.make_tensor_value_info
node = helper.make_node


def constant(name, array):
    return numpy_helper.from_array(array, name)


def save(name, nodes, inputs, outputs, constants=()):
    graph = helper.make_graph(nodes, name, inputs, outputs, list(constants))
    model = helper.make_model(graph, opset_imports=OPSETS, producer_name="tidegate-tests", ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, f"{name}.onnx")


# y = x . [1, 2, 3, 4] + 0.5
WEIGHTS = constant("w", np.array([[1], [2], [3], [4]], np.float32))
BIAS = constant("b", np.array([0.5], np.float32))
affine = [node("MatMul", ["x", "w"], ["xw"]), node("Add", ["xw", "b"], ["y"])]
save("affine", affine, [value("x", F32, [None, 4])], [value("y", F32, [None, 1])], [WEIGHTS, BIAS])
# the same, always two rows
save("affine_two_rows", affine, [value("x", F32, [2, 4])], [value("y", F32, [2, 1])], [WEIGHTS, BIAS])
# the same, always more rows than any memory holds
save("affine_huge", affine, [value("x", F32, [1 << 50, 4])], [value("y", F32, [1 << 50, 1])], [WEIGHTS, BIAS])

# every element type by name; each output is what came in, and their sum as float64
save(
    "by_name",
    [
        node("Identity", ["f32"], ["f32_out"]),
        node("Identity", ["f64"], ["f64_out"]),
        node("Identity", ["i32"], ["i32_out"]),
        node("Identity", ["i64"], ["i64_out"]),
        node("Identity", ["flag"], ["flag_out"]),
        node("Identity", ["text"], ["text_out"]),
        node("LabelEncoder", ["text"], ["code"], domain="ai.onnx.ml",
             keys_strings=["", "a", "b"], values_floats=[0.0, 1.0, 2.0], default_float=-1.0),
    ],
    [value("f32", F32, [None, 1]), value("f64", F64, [None]), value("i32", I32, [None, 1]), value("i64", I64, [None]),
     value("flag", BOOL, [None, 1]), value("text", STRING, [None, 1])],
    [value("f32_out", F32, [None, 1]), value("f64_out", F64, [None]), value("i32_out", I32, [None, 1]),
     value("i64_out", I64, [None]), value("flag_out", BOOL, [None, 1]), value("text_out", STRING, [None, 1]),
     value("code", F32, [None, 1])],
)


def classifier(name, zipmap, labels):
    """A linear classifier of three classes over two floats, as scikit-learn exports look."""
    strings = isinstance(labels[0], str)
    names = {"classlabels_strings": labels} if strings else {"classlabels_ints": labels}
    keys = {"classlabels_strings": labels} if strings else {"classlabels_int64s": labels}
    nodes = [node("LinearClassifier", ["x"], ["output_label", "scores"], domain="ai.onnx.ml", multi_class=1,
                  post_transform="SOFTMAX", coefficients=[1.0, 0.0, 0.0, 1.0, -1.0, -1.0], intercepts=[0.0, 0.0, 0.0], **names)]
    label = value("output_label", STRING if strings else I64, [None])
    if zipmap:
        nodes.append(node("ZipMap", ["scores"], ["output_probability"], domain="ai.onnx.ml", **keys))
        map_type = helper.make_map_type_proto(STRING if strings else I64, helper.make_tensor_type_proto(F32, []))
        probability = helper.make_value_info("output_probability", helper.make_sequence_type_proto(map_type))
    else:
        nodes.append(node("Identity", ["scores"], ["probabilities"]))
        probability = value("probabilities", F32, [None, 3])
    save(name, nodes, [value("x", F32, [None, 2])], [label, probability])


classifier("classifier_int64", False, [7, 8, 9])
classifier("classifier_string", False, ["early", "on time", "late"])
classifier("classifier_zipmap", True, [7, 8, 9])

# gathers a table of four values by the index that comes in: fails for every index beyond 3
save(
    "fails_beyond_3",
    [node("Gather", ["table", "index"], ["y"])],
    [value("index", I64, [None])],
    [value("y", F32, [None])],
    [constant("table", np.array([0.0, 10.0, 20.0, 30.0], np.float32))],
)

# an output that is one value a batch, not a row
save("no_rows_out", [node("ReduceSum", ["x"], ["y"], keepdims=0)], [value("x", F32, [None, 2])], [value("y", F32, [])])
save("row_lost", [node("ReduceSum", ["x"], ["y"], keepdims=1)], [value("x", F32, [None, 2])], [value("y", F32, [None, None])])

# an element type that is not served
save("uint8", [node("Cast", ["x"], ["y"], to=F32)], [value("x", TensorProto.UINT8, [None, 2])], [value("y", F32, [None, 2])])

# weights in another file that is there: beside the model; two ways up, whether counted from the model's folder or from
# the model file as if it were a folder; at an absolute path
for name, location in [("inside", "make.py"), ("escape", "../onnx.rs"), ("sibling", "../make.py"),
                       ("absolute", "/etc/passwd")]:
    weights = TensorProto(name="w", data_type=F32, dims=[4, 1], data_location=TensorProto.EXTERNAL)
    for key, text in [("location", location), ("offset", "0"), ("length", "16")]:
        weights.external_data.add(key=key, value=text)
    graph = helper.make_graph([node("MatMul", ["x", "w"], ["y"])], name, [value("x", F32, [None, 4])],
                              [value("y", F32, [None, 1])], [weights])
    model = helper.make_model(graph, opset_imports=OPSETS, producer_name="tidegate-tests", ir_version=8)
    with open(f"external_{name}.onnx", "wb") as file:
        file.write(model.SerializeToString())
