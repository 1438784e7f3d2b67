"""Nodes of a graph by the ONNX Runtime provider that executes them: from its record, or a profile of one run."""

import json
from pathlib import Path
from typing import Any

from runtimes.placement import Placement, placed

RECORD = "get_provider_graph_assignment_info"
RECORD_ENTRY = "session.record_ep_graph_assignment_info"
SUFFIX = "ExecutionProvider"


def keeps_record(ort: Any) -> bool:
    """Return whether this ONNX Runtime records which provider got which node."""
    return hasattr(ort.InferenceSession, RECORD)


def recorded(session: Any, provider: str) -> Placement:
    """Return the placement of a session that was opened with `RECORD_ENTRY`; a fused part counts its nodes."""
    return placed(
        short_name(provider),
        [
            (short_name(part.ep_name), node.op_type)
            for part in session.get_provider_graph_assignment_info()
            for node in part.get_nodes()
        ],
    )


def profiled(profile: Path, provider: str) -> Placement:
    """Return the placement by the profile of at least one run; a part that a provider fused is one node in it."""
    nodes: dict[str, tuple[str, str]] = {}
    for event in json.loads(profile.read_bytes()):
        found = event.get("args", {})
        if event.get("cat") == "Node" and "provider" in found:
            nodes[event["name"]] = (short_name(found["provider"]), found.get("op_name", "?"))
    return placed(short_name(provider), nodes.values())


def short_name(provider: str) -> str:
    """Return a provider's name without its ending: CUDA for CUDAExecutionProvider."""
    return provider.removesuffix(SUFFIX)
