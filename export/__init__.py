"""PyTorch checkpoints in, checked artifacts out; needs torch, but only once a name that uses it is first used."""

from typing import TYPE_CHECKING

from runtimes.lazy import lazy_exports

if TYPE_CHECKING:
    from export.checkpoint import LoadedModel, load_checkpoint
    from export.exporter import Exported, export_model
    from export.gate import torch_ap_gate
    from export.import_model import import_model
    from export.inputs import gate_inputs
    from export.load import load_weights
    from runtimes.naming import Target
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "export.checkpoint": ("LoadedModel", "load_checkpoint"),
            "export.exporter": ("Exported", "export_model"),
            "export.gate": ("torch_ap_gate",),
            "export.import_model": ("import_model",),
            "export.inputs": ("gate_inputs",),
            "export.load": ("load_weights",),
            "runtimes.naming": ("Target",),
        },
    )

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
