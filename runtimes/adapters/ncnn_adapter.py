"""Adapter of ncnn (*.param and *.bin); uint8 pixels are converted by ncnn's own from_pixels.

It makes up for what ncnn leaves to its caller: failures are return codes, an empty Mat crashes numpy, strides are
ignored, outputs have no batch axis, and an extractor answers from its cache, so each image gets a new one.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtimes.adapters import common
from runtimes.adapters.free_cores import TRIALS, FreeThreads, adapts, thread_limit
from runtimes.adapters.outputs import join_batches, name_outputs
from runtimes.artifact import Artifact
from runtimes.base import Accelerator, Arithmetic, Array, Effective, Feeds, Outputs, RunOptions
from runtimes.errors import ArtifactError, EngineError, InputError
from runtimes.install.import_errors import broken_import
from runtimes.placement import Placement, placed, require_taken
from runtimes.spec import ImageSpec, TensorSpec

# winograd=0 makes int8 3x3 convolutions exact (Winograd's int16 accumulators can overflow), and often faster
EXTRA = ("winograd",)

# Larger weights are not held in memory once more only to find out whether fewer threads are faster.
LIGHT_BYTES = 32 << 20

# older ones build shaders of bf16 that drivers without it refuse, and then end the process
VULKAN_BF16 = "1.0.20260526"

NOT_TAKEN = "run it with --accelerator cpu"
REFUSED = "ncnn cannot use it; export it again, or upgrade ncnn: pip install -U 'edgepose[ncnn]'"


def open_session(artifact: Artifact, options: RunOptions) -> "NcnnSession":
    """Load the artifact's .param and .bin.

    extra: winograd (1; 0 turns Winograd convolutions off). Raises InputError for an accelerator this machine lacks,
    EngineError for files that ncnn refuses, MissingDependencyError without ncnn.
    """
    return NcnnSession(artifact, options)


class NcnnSession:
    """One loaded net; images of a batch run at the same time, by default in one single-threaded extractor a thread.

    Unless the user chose a thread count, a call uses the fastest of the thread counts that other processes leave cores
    for, of at most `effective.threads`. Each count has a net of its own, loaded where it is first used: ncnn packs
    weights for the thread count at load, and ignores a later change of it with a warning a layer. Results do not depend
    on the count.
    """

    def __init__(self, artifact: Artifact, options: RunOptions) -> None:
        common.refuse_unknown_extra(options, EXTRA, "ncnn")
        self._ncnn = _import_ncnn()
        self._artifact = artifact
        self._input = common.image_tensor(artifact)
        if artifact.manifest.image.embedded:
            raise ArtifactError(
                f"{artifact.root}: image.embedded is true, but no ncnn file takes uint8; set it to false in the spec"
            )
        self._winograd = common.extra_flag(options, "winograd", default=True)
        refuse_int8_on_gpu(artifact, options.accelerator)
        accelerator = _accelerator(self._ncnn, options.accelerator)
        limit = thread_limit(options.threads, os.environ)
        self._free: FreeThreads | None = None
        if accelerator == "cpu" and adapts(options, os.environ):
            light = artifact.file(".bin").stat().st_size <= LIGHT_BYTES
            self._free = FreeThreads(limit, TRIALS if light else 0)
        precision = _arithmetic(self._ncnn, options.precision, accelerator)
        self._effective = Effective(limit, precision, accelerator)
        net = self._load(limit)
        self._effective = _read_back(self._ncnn, net)
        if accelerator == "gpu":
            _require_gpu(artifact.root, self._effective)
        self.engine_ns = 0
        self._nets: dict[int, Any] = {self._effective.threads: net}
        self._pool: ThreadPoolExecutor | None = None
        self._requests = options.requests or (limit if accelerator == "cpu" else 1)

    @property
    def effective(self) -> Effective:
        """The most threads of a call, arithmetic and accelerator; f16 becomes f32 on a CPU without f16 arithmetic."""
        return self._effective

    def run(self, feeds: Feeds) -> Outputs:
        """Run a batch as `runtimes.base.Session.run` says, its images as parallel requests."""
        if not self._nets:
            raise common.closed(self._artifact.root)
        batch = common.image_batch(feeds, self._artifact.manifest)
        limit = self._effective.threads
        if len(batch) > 1 and self._requests > 1:
            parts = self._run_parallel(batch)
        else:
            parts = []
            for image in batch:
                with self._free.call() if self._free else nullcontext(limit) as threads:
                    parts.append(self._run_one(self._net(threads), image))
        return join_batches(self._artifact.root, self._artifact.manifest.outputs, parts)

    def close(self) -> None:
        """Free the nets."""
        if self._pool is not None:
            self._pool.shutdown()
        for net in self._nets.values():
            net.clear()
        self._nets, self._pool = {}, None

    def _net(self, threads: int) -> Any:
        """Return the net for a thread count; the first call of a count loads it, and holds the weights once more."""
        if threads not in self._nets:
            self._nets[threads] = self._load(threads)
        return self._nets[threads]

    def _run_parallel(self, batch: NDArray[np.uint8]) -> list[Outputs]:
        """Run calls in a pool: 1.2x a loop of multi-threaded ones, whose small layers do not split."""
        net = self._net(max(1, self._effective.threads // self._requests))
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._requests, "ncnn")
        return list(self._pool.map(lambda image: self._run_one(net, image), batch))

    def _run_one(self, net: Any, image: NDArray[np.uint8]) -> Outputs:
        mat = image_mat(self._ncnn, image, self._artifact.manifest.image)
        extractor = net.create_extractor()
        outputs = self._artifact.manifest.outputs
        try:
            name = common.engine_name(self._input)
            self._check(extractor.input(name, mat), "its input was refused")
            start = time.perf_counter_ns()
            raw = [self._extract(extractor, tensor) for tensor in outputs]
            self.engine_ns += time.perf_counter_ns() - start
        finally:
            # ncnn crashes where the net is freed first, and an error's traceback would keep this alive for longer
            extractor.clear()
        return name_outputs(self._artifact.root, outputs, raw)

    def _extract(self, extractor: Any, tensor: TensorSpec) -> Array:
        blob = common.engine_name(tensor)
        code, mat = extractor.extract(blob)
        self._check(code, f"output {blob} failed")
        if min(mat.w, mat.h, mat.d, mat.c) < 0:
            raise EngineError(
                f"{self._artifact.root}: output {blob} has a negative size; {REFUSED}"
            )
        if not mat.empty():
            copy: Array = np.array(mat)
            return copy[None]
        # numpy would crash on it; a detection layer that finds nothing returns one
        if -1 not in tensor.shape[1:]:
            raise EngineError(f"{self._artifact.root}: output {blob} is empty; {REFUSED}")
        return np.zeros((1, *(max(0, size) for size in tensor.shape[1:])), np.float32)

    def _load(self, threads: int) -> Any:
        net = self._ncnn.Net()
        self._configure(net.opt, threads)
        param, weights = self._artifact.file(".param"), self._artifact.file(".bin")
        self._check(net.load_param(str(param)), f"{param.name} was refused")
        self._check(net.load_model(str(weights)), f"{weights.name} was refused")
        blobs = {blob.name: blob for blob in net.blobs()}
        common.require_names(
            self._artifact.root, (self._input, *self._artifact.manifest.outputs), blobs
        )
        return net

    def _configure(self, option: Any, threads: int) -> None:
        """Set every option that changes results, before loading; weights stored as fp16 load under all of them."""
        precision = self._effective.precision
        option.num_threads = threads
        option.use_vulkan_compute = self._effective.accelerator == "gpu"
        option.use_fp16_packed = option.use_fp16_storage = precision == "f16"
        option.use_fp16_arithmetic = precision == "f16"
        option.use_bf16_packed = option.use_bf16_storage = precision == "bf16"
        option.use_winograd_convolution = self._winograd

    def _check(self, code: int, what: str) -> None:
        if code != 0:
            raise EngineError(f"{self._artifact.root}: {what} (ncnn code {code}); {REFUSED}")


def image_mat(ncnn: Any, image: NDArray[np.uint8], spec: ImageSpec) -> Any:
    """Return the ncnn Mat of one image, uint8 BGR (H, W, 3): channels in the network's order, normalised."""
    kinds = ncnn.Mat.PixelType
    kind = kinds.PIXEL_BGR2RGB if spec.order == "RGB" else kinds.PIXEL_BGR
    mat = ncnn.Mat.from_pixels(image, kind, *spec.wh)
    mat.substract_mean_normalize(list(spec.mean), [1.0 / value for value in spec.std])
    return mat


def _import_ncnn() -> Any:
    try:
        import ncnn
    except ImportError as error:
        raise broken_import("ncnn", "ncnn", error) from error
    return ncnn


def refuse_int8_on_gpu(artifact: Artifact, wanted: Accelerator) -> None:
    """Raise InputError: ncnn's shaders of int8 products may not compile, which ends the process (1.0.20261020)."""
    if wanted == "gpu" and artifact.manifest.precision == "int8":
        raise InputError(
            f"{artifact.root}: ncnn runs int8 on the cpu alone here; choose --accelerator cpu, or an fp16 artifact"
        )


def _accelerator(ncnn: Any, wanted: Accelerator) -> Accelerator:
    if wanted == "npu":
        raise InputError("ncnn runs on cpu or gpu, not on an npu; choose --accelerator cpu")
    # get_gpu_count loads the Vulkan driver, so CPU sessions do not call it
    if wanted == "gpu" and ncnn.get_gpu_count() == 0:
        raise InputError("ncnn finds no Vulkan GPU here; install its driver, or --accelerator cpu")
    return wanted


def _arithmetic(ncnn: Any, wanted: Arithmetic, accelerator: Accelerator) -> Arithmetic:
    """Return the arithmetic to set: of CPUs only ARM's with asimdhp compute f16, others use f32."""
    if wanted == "f16" and accelerator == "cpu" and not ncnn.cpu_support_arm_asimdhp():
        return "f32"
    # all versions are 1.0.DATE
    if wanted == "bf16" and accelerator == "gpu" and ncnn.__version__ < VULKAN_BF16:
        return "f32"
    return wanted


def _read_back(ncnn: Any, net: Any) -> Effective:
    """Return what a loaded net uses: ncnn turns off Vulkan and f16 where the device has none."""
    option = net.opt
    precision: Arithmetic = "f32"
    # a GPU without 16-bit storage still packs pairs of such values, which rounds them all the same
    if option.use_bf16_storage or option.use_bf16_packed:
        precision = "bf16"
    elif option.use_fp16_arithmetic and (option.use_fp16_storage or option.use_fp16_packed):
        precision = "f16"
    threads, engine = int(option.num_threads), f"ncnn {ncnn.__version__}"
    if not option.use_vulkan_compute:
        return Effective(threads, precision, "cpu", engine)
    device = ncnn.get_gpu_info(ncnn.get_default_gpu_index()).device_name()
    return Effective(threads, precision, "gpu", f"{engine} on {device}", _placement(net))


def _require_gpu(root: Path, effective: Effective) -> None:
    """Raise EngineError where the GPU executes nothing."""
    if effective.placement is None:
        raise EngineError(f"{root}: ncnn turned Vulkan off for it; {NOT_TAKEN}")
    require_taken(root, effective.placement, NOT_TAKEN)


def _placement(net: Any) -> Placement:
    """Return where the layers run: ncnn goes by each layer's `support_vulkan`. An input has nothing to execute."""
    layers = [layer for layer in net.layers() if layer.type != "Input"]
    return placed(
        "Vulkan", [("Vulkan" if layer.support_vulkan else "CPU", layer.type) for layer in layers]
    )
