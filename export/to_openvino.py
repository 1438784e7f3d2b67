"""float ONNX -> OpenVINO IR with the image preprocessing inside (PrePostProcessor): uint8 BGR in, float outputs."""

from pathlib import Path
from typing import Any

import msgspec

from export.converter import ConversionSource, Converted, converted_from_uint8
from export.to_onnx import PACKAGES as ONNX_PACKAGES
from export.to_onnx import float_onnx, half_onnx
from export.versions import versions
from runtimes.errors import ConversionError
from runtimes.spec import (
    ModelSpec,
    Precision,
    Task,
)
from runtimes.telemetry import disable_telemetry

PACKAGES = (*ONNX_PACKAGES, "openvino")
# Model API's terms; poses are keypoint_detection, crops of boxes "crop".
MODEL_TYPES: dict[Task, str] = {
    "detect": "ssd",
    "segment": "segmentation",
    "depth": "depth",
    "normal": "normal",
}
RESIZE_TYPES = {"letterbox": "fit_to_window_letterbox", "stretch": "standard"}


def convert(source: ConversionSource, precision: Precision, directory: Path) -> Converted:
    """Write `model.xml` and `model.bin`; fp16 stores the weights in half."""
    disable_telemetry()
    import openvino

    width, height = source.spec.image.wh
    onnx_path = half_onnx(source) if precision == "fp16" else float_onnx(source)
    try:
        model = openvino.Core().read_model(str(onnx_path))  # convert_model would fold halves back
        model.reshape([-1, 3, height, width])
        model = embed_image(model, source.spec)
        for result, name in zip(model.outputs, source.output_names, strict=True):
            result.get_tensor().set_names({name})
    except RuntimeError as error:
        raise ConversionError(
            f"OpenVINO refused {source.spec.model}: {str(error).splitlines()[0]}"
        ) from error
    _store_spec(model, source.spec)
    # The ONNX file is halved already: `compress_to_fp16` would halve biases, mean and std too, at 2.7 times the error
    # (RTMDet-nano).
    openvino.save_model(model, str(directory / "model.xml"), compress_to_fp16=False)
    return converted_from_uint8(source, "image", source.output_names, versions(*PACKAGES))


def embed_image(model: Any, spec: ModelSpec) -> Any:
    """Return `model` with cast, channel order, mean and std in front of its one float NCHW input."""
    from openvino import Layout, Type
    from openvino.preprocess import ColorFormat, PrePostProcessor

    steps = PrePostProcessor(model)
    image = steps.input()
    image.tensor().set_element_type(Type.u8).set_layout(Layout("NHWC")).set_color_format(
        ColorFormat.BGR
    )
    image.model().set_layout(Layout("NCHW"))
    process = image.preprocess().convert_element_type(Type.f32)
    if spec.image.order == "RGB":
        process.convert_color(ColorFormat.RGB)
    process.mean(list(spec.image.mean)).scale(list(spec.image.std))
    return steps.build()


def _store_spec(model: Any, spec: ModelSpec) -> None:
    """Store the spec where OpenVINO tools look: rt_info/model_info, under Model API's keys, and ours as JSON."""
    info = {
        "model_type": MODEL_TYPES.get(spec.task, "keypoint_detection"),
        "mean_values": " ".join(str(value) for value in spec.image.mean),
        "scale_values": " ".join(str(value) for value in spec.image.std),
        "reverse_input_channels": str(spec.image.order == "RGB"),
        "resize_type": RESIZE_TYPES.get(spec.crop.kind, "crop"),
        "pad_value": str(spec.crop.pad_value),
        "embedded_processing": "True",
        "labels": " ".join(spec.keypoints.names if spec.keypoints else spec.classes or ()),
        "confidence_threshold": str(spec.thresholds.score),
        "edgepose": msgspec.json.encode(spec).decode(),
    }
    for key, value in info.items():
        model.set_rt_info(value, ["model_info", key])
