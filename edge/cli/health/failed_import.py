"""Exceptions that come of importing an installed package, told from our own bugs by their traceback."""

from collections.abc import Iterator

from edge.cli.opencv import broken_opencv, not_installed
from runtimes.install.import_errors import explain_import

# top-level module: its distribution. A broken one raises anything: ImportError, OSError, AttributeError ...
MODULES = {
    "cv2": "opencv-python",
    "numpy": "numpy",
    "ncnn": "ncnn",
    "openvino": "openvino",
    "ai_edge_litert": "ai-edge-litert",
    "tflite_runtime": "tflite-runtime",
    "onnxruntime": "onnxruntime",
    "torch": "torch",
    "onnx": "onnx",
    "nncf": "nncf",
}


def failed_import(error: Exception) -> str:
    """Return in one line which package of `MODULES` could not be imported and what to do; "" for any other error."""
    if isinstance(error, ModuleNotFoundError) and error.name == "cv2":
        return not_installed()
    module = next((name for name in reversed(list(_imported(error))) if name in MODULES), "")
    if not module:
        return ""
    if module == "cv2":
        return f"OpenCV cannot be loaded: {broken_opencv(str(error))}"
    package = MODULES[module]
    return f"{package} is installed, but cannot be loaded: {explain_import(package, str(error))}"


def _imported(error: Exception) -> Iterator[str]:
    """Yield the top-level modules whose bodies the error passed through, the innermost last."""
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code.co_name == "<module>":
            yield str(frame.f_globals.get("__name__", "")).partition(".")[0]
        trace = trace.tb_next
    if isinstance(error, ImportError):
        # a module of C has no frame
        yield from (name for name in MODULES if f"/{name}/" in (error.path or ""))
        if str(error).startswith("OpenCV loader"):
            yield "cv2"
