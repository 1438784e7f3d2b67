"""edgepose: the SDK. Frames in, poses out.

    import edge
    pose = edge.load("rtmpose-s-192x256.openvino-fp32", threads=4)
    pipe = edge.Pipeline(pose=pose, detector="rtmdet-nano-320x320.openvino-fp32", skip=5)
    poses = pipe(frame_bgr)

Importing it loads no engine, and OpenCV only when something that needs it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge.bench.tuned import load_tuned
    from edge.media.sources import open_source
    from edge.model import Model, load
    from edge.pipeline import Follow, Pipeline, Result
    from edge.schema import KeypointSchema, load_schema
    from edge.types import Detections, Frame, Keypoints, Poses

# name: the module it lives in
_EXPORTS = {
    "Detections": "edge.types",
    "Follow": "edge.pipeline",
    "Frame": "edge.types",
    "KeypointSchema": "edge.schema",
    "Keypoints": "edge.types",
    "Model": "edge.model",
    "Pipeline": "edge.pipeline",
    "Poses": "edge.types",
    "Result": "edge.pipeline",
    "load": "edge.model",
    "load_schema": "edge.schema",
    "load_tuned": "edge.bench.tuned",
    "open_source": "edge.media.sources",
}

__all__ = [
    "Detections",
    "Follow",
    "Frame",
    "KeypointSchema",
    "Keypoints",
    "Model",
    "Pipeline",
    "Poses",
    "Result",
    "load",
    "load_schema",
    "load_tuned",
    "open_source",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _EXPORTS:
        raise AttributeError(f"module 'edge' has no attribute {name!r}")
    value = getattr(importlib.import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names for completion."""
    return sorted(__all__)
