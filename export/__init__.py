"""export: PyTorch checkpoints in, checked artifacts out. The host's layer.

Importing it loads no torch; what needs torch brings it when first used, so `edgepose import` works without.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from export.checkpoint import LoadedModel, load_checkpoint
    from export.exporter import Exported, export_model
    from export.gate import torch_ap_gate
    from export.import_model import import_model
    from export.inputs import gate_inputs
    from export.load import load_weights
    from runtimes.naming import Target

# name: the module it lives in
_EXPORTS = {
    "Exported": "export.exporter",
    "LoadedModel": "export.checkpoint",
    "Target": "runtimes.naming",
    "export_model": "export.exporter",
    "gate_inputs": "export.inputs",
    "import_model": "export.import_model",
    "load_checkpoint": "export.checkpoint",
    "load_weights": "export.load",
    "torch_ap_gate": "export.gate",
}

__all__ = [
    "Exported",
    "LoadedModel",
    "Target",
    "export_model",
    "gate_inputs",
    "import_model",
    "load_checkpoint",
    "load_weights",
    "torch_ap_gate",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _EXPORTS:
        raise AttributeError(f"module 'export' has no attribute {name!r}")
    value = getattr(importlib.import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value
