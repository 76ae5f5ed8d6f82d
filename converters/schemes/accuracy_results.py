"""What `tests/benchmarks/scheme_accuracy.py --write` measured on the MLPerf Tiny models."""

from __future__ import annotations

from typing import Any

ACCURACY: dict[str, dict[tuple[str, str], dict[str, Any]]] = {
    "ResNet-8": {
        ("tflite", "float32"): {"bytes": 318288, "10,000": 0.8719, "official 200": 0.87},
        ("tflite", "float16"): {"bytes": 166064, "10,000": 0.8717, "official 200": 0.875},
        ("tflite", "dynamic-int8"): {"bytes": 90544, "10,000": 0.8715, "official 200": 0.865},
        ("tflite", "int8-weights"): {"bytes": 91728, "10,000": 0.8723, "official 200": 0.865},
        ("tflite", "int8"): {"bytes": 95376, "10,000": 0.868, "official 200": 0.88},
        ("tflite", "int8-uint8io"): {"bytes": 96048, "10,000": 0.868, "official 200": 0.88},
        ("tflite", "int8-floatio"): {"bytes": 95968, "10,000": 0.868, "official 200": 0.88},
        ("tflite", "int8-per-tensor"): {"bytes": 87352, "10,000": 0.8661, "official 200": 0.86},
        ("tflite", "int16x8"): {"bytes": 100320, "10,000": 0.8724, "official 200": 0.865},
        ("tflite", "int4-weights"): {"bytes": 56880, "10,000": 0.5633, "official 200": 0.54},
        ("onnx", "float32"): {"bytes": 314204, "10,000": 0.8719, "official 200": 0.87},
        ("onnx", "float16"): {"bytes": 158908, "10,000": 0.8717, "official 200": 0.875},
        ("onnx", "dynamic-int8"): {"bytes": 91622, "10,000": 0.8682, "official 200": 0.88},
        ("onnx", "int8"): {"bytes": 98774, "10,000": 0.8683, "official 200": 0.88},
        ("onnx", "int8-qdq-int8"): {"bytes": 98860, "10,000": 0.8683, "official 200": 0.88},
        ("onnx", "int8-symmetric"): {"bytes": 93417, "10,000": 0.8674, "official 200": 0.865},
        ("onnx", "qoperator-int8"): {"bytes": 88960, "10,000": 0.8716, "official 200": 0.87},
    },
    "DS-CNN": {
        ("tflite", "float32"): {"bytes": 99904, "1,000": 0.901, "other 900": 0.8955555555555555},
        ("tflite", "float16"): {"bytes": 59568, "1,000": 0.901, "other 900": 0.8955555555555555},
        ("tflite", "dynamic-int8"): {"bytes": 41056, "1,000": 0.903, "other 900": 0.8977777777777778},
        ("tflite", "int8-weights"): {"bytes": 43152, "1,000": 0.907, "other 900": 0.9022222222222223},
        ("tflite", "int8"): {"bytes": 48728, "1,000": 0.904, "other 900": 0.8977777777777778},
        ("tflite", "int8-uint8io"): {"bytes": 49360, "1,000": 0.904, "other 900": 0.8977777777777778},
        ("tflite", "int8-floatio"): {"bytes": 49296, "1,000": 0.904, "other 900": 0.8977777777777778},
        ("tflite", "int8-per-tensor"): {"bytes": 34864, "1,000": 0.905, "other 900": 0.9},
        ("tflite", "int16x8"): {
            "error": "quantizing to TFLite int16x8 failed: ValueError: Failed to parse the model: Didn't find op for builtin opcode 'CONV_2D' version '2'. An older version of this builtin might be supported. Are you using an old TFLite binary with a newer model?; run again with --debug for the converter's output"
        },
        ("tflite", "int4-weights"): {"bytes": 38960, "1,000": 0.841, "other 900": 0.8333333333333334},
        ("onnx", "float32"): {"bytes": 93666, "1,000": 0.901, "other 900": 0.8955555555555555},
        ("onnx", "float16"): {"bytes": 48574, "1,000": 0.901, "other 900": 0.8955555555555555},
        ("onnx", "dynamic-int8"): {"bytes": 37032, "1,000": 0.898, "other 900": 0.8922222222222222},
        ("onnx", "int8"): {"bytes": 45797, "1,000": 0.908, "other 900": 0.9022222222222223},
        ("onnx", "int8-qdq-int8"): {"bytes": 45876, "1,000": 0.908, "other 900": 0.9022222222222223},
        ("onnx", "int8-symmetric"): {"bytes": 38680, "1,000": 0.903, "other 900": 0.8977777777777778},
        ("onnx", "qoperator-int8"): {"bytes": 34771, "1,000": 0.903, "other 900": 0.8966666666666666},
    },
    "autoencoder": {
        ("tflite", "float32"): {"bytes": 1067760, "500 synthetic": 124.7},
        ("tflite", "float16"): {"bytes": 538464, "500 synthetic": 68.7},
        ("tflite", "dynamic-int8"): {"bytes": 275600, "500 synthetic": 23.8},
        ("tflite", "int8-weights"): {"bytes": 296656, "500 synthetic": 36.7},
        ("tflite", "int8"): {"bytes": 316064, "500 synthetic": 34.4},
        ("tflite", "int8-uint8io"): {"bytes": 316656, "500 synthetic": 34.4},
        ("tflite", "int8-floatio"): {"bytes": 316592, "500 synthetic": 34.4},
        ("tflite", "int8-per-tensor"): {"bytes": 276104, "500 synthetic": 23.7},
        ("tflite", "int16x8"): {"bytes": 336656, "500 synthetic": 36.7},
        ("tflite", "int4-weights"): {"bytes": 144288, "500 synthetic": 6.8},
        ("onnx", "float32"): {"bytes": 1065902, "500 synthetic": 126.5},
        ("onnx", "float16"): {"bytes": 534299, "500 synthetic": 68.7},
        ("onnx", "dynamic-int8"): {"bytes": 281378, "500 synthetic": 27.1},
        ("onnx", "int8"): {"bytes": 304848, "500 synthetic": 34.4},
        ("onnx", "int8-qdq-int8"): {"bytes": 304927, "500 synthetic": 34.4},
        ("onnx", "int8-symmetric"): {"bytes": 289002, "500 synthetic": 31.0},
        ("onnx", "qoperator-int8"): {"bytes": 285471, "500 synthetic": 34.4},
    },
}
"""Model -> (format, scheme) -> "bytes", and by part a share of right answers, or SQNR in dB against float."""
