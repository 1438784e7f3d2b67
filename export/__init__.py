"""export: PyTorch checkpoints in, checked artifacts out. The host's layer.

Importing it loads no torch; what needs torch brings it when first used, so `edgepose import` works without.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from export.checkpoint import LoadedModel, load_checkpoint
    from export.foreign import import_model
    from export.gate import torch_ap_gate
    from export.inputs import gate_inputs
    from export.load import load_weights
    from export.naming import Target
    from export.write import Exported, export_model

# name: the module it lives in
_EXPORTS = {
    "Exported": "export.write",
    "LoadedModel": "export.checkpoint",
    "Target": "export.naming",
    "export_model": "export.write",
    "gate_inputs": "export.inputs",
    "import_model": "export.foreign",
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
