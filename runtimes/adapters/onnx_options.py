"""Options of ONNX Runtime's providers (`provider.NAME`); those that a provider would ignore in silence are refused.

TensorRT's, CUDA's and OpenVINO's providers refuse what they do not know. QNN's goes on without it, and takes a default
for a value that it does not know.
"""

from collections.abc import Mapping

from runtimes.adapters.common import extra_group
from runtimes.base import RunOptions
from runtimes.errors import InputError

_ANY = ()
_SWITCH = ("0", "1")

# docs/execution_providers/QNN-ExecutionProvider.md of onnxruntime-qnn; all are in the library of 2.7.0. Names with the
# values they may have, _ANY for paths, sizes and lists.
_QNN: dict[str, tuple[str, ...]] = {
    "backend_path": _ANY,
    "backend_type": ("cpu", "gpu", "htp", "saver", "ir"),
    "genie_log_level": ("error", "warn", "info", "verbose"),
    "profiling_level": ("off", "basic", "detailed", "optrace"),
    "profiling_file_path": _ANY,
    "rpc_control_latency": _ANY,
    "vtcm_mb": _ANY,
    "enable_vtcm_backup_buffer_sharing": _SWITCH,
    "htp_performance_mode": (
        *("default", "burst", "balanced", "high_performance", "sustained_high_performance"),
        *("low_balanced", "high_power_saver", "low_power_saver", "power_saver"),
        "extreme_power_saver",
    ),
    "qnn_saver_path": _ANY,
    "qnn_context_priority": ("low", "normal", "normal_high", "high"),
    "htp_graph_finalization_optimization_mode": ("0", "1", "2", "3"),
    "soc_model": _ANY,
    "htp_arch": _ANY,
    "device_id": _ANY,
    "enable_htp_fp16_precision": _SWITCH,
    "enable_htp_spill_fill_buffer": _SWITCH,
    "offload_graph_io_quantization": _SWITCH,
    "enable_block_quant_weight_optimization": _SWITCH,
    "enable_htp_shared_memory_allocator": _SWITCH,
    "extended_udma": _SWITCH,
    "op_packages": _ANY,
    "dump_json_qnn_graph": _SWITCH,
    "json_qnn_graph_dir": _ANY,
    "dump_qnn_ir_dlc": _SWITCH,
    "dump_qnn_ir_dlc_dir": _ANY,
    "enable_framework_op_trace": _SWITCH,
    "framework_op_trace_dir": _ANY,
    "qnn_ir_backend_path": _ANY,
    "skip_qnn_version_check": _SWITCH,
    "num_graph_prepare_threads": _ANY,
    "htp_share_resource_optimization": ("1",),
    "disable_file_mapped_weights": _SWITCH,
    "htp_bf16_enable": _SWITCH,
    "enable_htp_prepare_only": _SWITCH,
}
# By the provider's short name. The CPU's kernels have none, and XNNPACK's only one is --threads.
_KNOWN: dict[str, Mapping[str, tuple[str, ...]]] = {"cpu": {}, "xnnpack": {}, "qnn": _QNN}


def provider_options(options: RunOptions, provider: str) -> dict[str, str]:
    """Return the options `provider.NAME` for a provider of `PROVIDERS`, by NAME.

    Raises InputError for one that this provider would ignore; the engine itself refuses others.
    """
    given = extra_group(options, "provider")
    known = _KNOWN.get(provider)
    if known is None:
        return given
    for name, value in given.items():
        if name not in known:
            valid = f"has {', '.join(known)}" if known else "takes none"
            raise InputError(
                f"option provider.{name}: the provider {provider} {valid}; leave it out, or name its provider with"
                " provider=NAME"
            )
        if known[name] and value.lower() not in known[name]:
            raise InputError(
                f"option provider.{name} is one of {', '.join(known[name])}, not {value!r}"
            )
    return given
