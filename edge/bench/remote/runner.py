"""Benchmark process on a board: standard library of Python 3.6, and the engine of the artifact with its numpy.

`runner.py facts ENGINE...` prints the facts of the machine. `runner.py serve` answers the requests of
`edge.bench.worker`, one JSON message a line: `open` loads the folder `root`, which `edge.bench.remote.parcel` made;
`burst` runs it. It ends with stdin. What is timed is what `edge.bench.worker` times: pixels in, a copy of the outputs.
"""

import gc
import glob
import importlib
import importlib.util
import itertools
import json
import os
import platform
import sys
import time

# A thread pool that still spins would take a core from the next process: poll interval, time limit, idle share.
IDLE_POLL_S, IDLE_LIMIT_S, IDLE_SHARE = 0.01, 1.0, 0.1
DEFAULT_THREADS = 4
FACTS = (
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/device-tree/model", "/proc/device-tree/compatible"),
    *("/sys/devices/soc0/machine", "/sys/devices/soc0/family", "/sys/devices/soc0/soc_id"),
    "/sys/devices/system/cpu/cpu[0-9]*/cpu_capacity",
    "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/cpuinfo_max_freq",
    "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor",
    "/sys/devices/system/cpu/cpu0/cache/index[0-9]*/size",
)
MOST_FACT_BYTES = 1 << 18


class UnusableError(Exception):
    """An option that the engine does not have here."""


def read_text(path):
    """Return a small file's text, "" where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(MOST_FACT_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def facts(engines):
    """Return what the machine is, as texts of its files, and which engines can be imported."""
    return {
        "arch": platform.machine(),
        "python": platform.python_version(),
        "logical_cores": os.cpu_count() or 1,
        "allowed_cores": allowed_cores(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "files": {path: read_text(path) for pattern in FACTS for path in glob.glob(pattern)},
        "missing": [name for name in engines if importlib.util.find_spec(name) is None],
    }


def allowed_cores():
    """Return the cores of the affinity mask, within the CPU quota of the cgroup."""
    has_mask = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_mask else os.cpu_count() or 1
    own = read_text("/proc/self/cgroup").strip().rpartition("::")[2]
    quotas = [read_text("/sys/fs/cgroup" + group + "/cpu.max").split() for group in ("", own)]
    version_1 = [
        read_text("/sys/fs/cgroup/cpu/cpu.cfs_" + name) for name in ("quota_us", "period_us")
    ]
    for quota in (*quotas, version_1):
        if len(quota) == 2 and quota[0].strip().isdigit() and quota[1].strip().isdigit():
            cores = min(cores, int(quota[0]) // max(1, int(quota[1])))
    return max(1, cores)


def timed(spans, function, *arguments):
    """Call the function, and add the seconds that it took to `spans`."""
    start = time.perf_counter()
    result = function(*arguments)
    spans.append(time.perf_counter() - start)
    return result


def open_ncnn(root, job, order, threads):
    """Return a function that runs one picture and adds the engine's seconds to a list, and the options in effect."""
    import ncnn
    import numpy as np

    gpu = order["accelerator"] == "gpu"
    if order["accelerator"] == "npu" or (gpu and ncnn.get_gpu_count() == 0):
        raise UnusableError("ncnn finds no such accelerator there; choose --accelerator cpu")
    precision = order["precision"]
    if precision == "f16" and not gpu and not ncnn.cpu_support_arm_asimdhp():
        precision = "f32"
    net = ncnn.Net()
    set_ncnn(net.opt, precision, gpu, threads)
    for load_file, suffix in ((net.load_param, ".param"), (net.load_model, ".bin")):
        if load_file(os.path.join(root, job["files"][suffix])) != 0:
            raise RuntimeError("ncnn refuses " + job["files"][suffix])
    if gpu and not any(layer.support_vulkan for layer in net.layers() if layer.type != "Input"):
        raise UnusableError("ncnn runs no layer on the GPU there; choose --accelerator cpu")
    kinds = ncnn.Mat.PixelType
    kind = kinds.PIXEL_BGR2RGB if job["order"] == "RGB" else kinds.PIXEL_BGR
    width, height = job["wh"]
    scales = [1.0 / value for value in job["std"]]

    def run(image, spans):
        mat = ncnn.Mat.from_pixels(image[0], kind, width, height)
        mat.substract_mean_normalize(job["mean"], scales)
        extractor = net.create_extractor()
        extractor.input(job["input"], mat)
        results = [timed(spans, extractor.extract, name) for name in job["outputs"]]
        if any(code != 0 for code, _ in results):
            raise RuntimeError("ncnn failed on an output")
        return [None if out.empty() else np.array(out) for _, out in results]

    effective = {"precision": precision, "accelerator": order["accelerator"]}
    return run, dict(effective, threads=threads, engine="ncnn " + ncnn.__version__)


def set_ncnn(options, precision, gpu, threads):
    """Set what changes results or speed; releases differ in the options that they have."""
    values = {"num_threads": threads, "use_vulkan_compute": gpu}
    for part in ("packed", "storage", "arithmetic"):
        values["use_fp16_" + part] = precision == "f16"
        values["use_bf16_" + part] = precision == "bf16"
    for name, value in values.items():
        if hasattr(options, name):
            setattr(options, name, value)


def open_openvino(root, job, order, threads):
    """Return a function that runs one picture and adds the engine's seconds to a list, and the options in effect."""
    sys.modules.setdefault("openvino_telemetry", None)  # no usage events
    openvino = importlib.import_module("openvino")
    core = openvino.Core()
    device = {"cpu": "CPU", "gpu": "GPU", "npu": "NPU"}[order["accelerator"]]
    if not any(name.split(".")[0] == device for name in core.available_devices):
        raise UnusableError("OpenVINO finds only %s there" % ", ".join(core.available_devices))
    config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": order["precision"]}
    if device == "CPU":
        config["INFERENCE_NUM_THREADS"] = threads
        config["ENABLE_CPU_PINNING"] = threads >= allowed_cores()
        config["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = "0"
    paths = [os.path.join(root, job["files"][suffix]) for suffix in (".xml", ".bin")]
    compiled = core.compile_model(core.read_model(*paths), device, config)
    request = compiled.create_infer_request()
    source = compiled.input(job["input"])
    ports = [compiled.output(name) for name in job["outputs"]]

    def run(image, spans):
        request.set_tensor(source, openvino.Tensor(image, shared_memory=True))
        request.infer(share_outputs=True)
        spans.append(request.latency / 1e3)
        return [request.get_tensor(port).data.copy() for port in ports]

    name = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    found = int(compiled.get_property("INFERENCE_NUM_THREADS")) if device == "CPU" else 1
    precision = name if name in ("f32", "f16", "bf16") else "f32"
    engine = "OpenVINO %s on %s" % (openvino.get_version().split("-")[0], device)
    effective = {"precision": precision, "accelerator": order["accelerator"]}
    return run, dict(effective, threads=found, engine=engine)


def open_tflite(root, job, order, threads):
    """Return a function that runs one picture and adds the engine's seconds to a list, and the options in effect."""
    if order["accelerator"] != "cpu":
        raise UnusableError("tflite artifacts run on the cpu; choose --accelerator cpu")
    package = "ai_edge_litert" if importlib.util.find_spec("ai_edge_litert") else "tflite_runtime"
    module = importlib.import_module(package + ".interpreter")
    path = os.path.join(root, job["files"][".tflite"])
    interpreter = module.Interpreter(model_path=path, num_threads=threads)
    interpreter.allocate_tensors()
    inputs = {each["name"]: each for each in interpreter.get_input_details()}
    results = {each["name"]: each for each in interpreter.get_output_details()}
    if len(interpreter.get_signature_list()) == 1:
        signature = interpreter.get_signature_runner()
        inputs.update(signature.get_input_details())
        results.update(signature.get_output_details())
        del signature  # it blocks invoke
    source = inputs[job["input"]]["index"]
    targets = [results[name]["index"] for name in job["outputs"]]

    def run(image, spans):
        interpreter.set_tensor(source, image)
        timed(spans, interpreter.invoke)
        return [interpreter.get_tensor(index) for index in targets]

    version = getattr(importlib.import_module(package), "__version__", "")
    engine = (package.replace("_", "-") + " " + version).strip()
    return run, {"threads": threads, "precision": "f32", "accelerator": "cpu", "engine": engine}


def open_onnxruntime(root, job, order, threads):
    """Return a function that runs one picture and adds the engine's seconds to a list, and the options in effect."""
    import onnxruntime

    names = {"cpu": "CPUExecutionProvider", "gpu": "CUDAExecutionProvider", "npu": "NPU"}
    wanted = names[order["accelerator"]]
    if wanted not in onnxruntime.get_available_providers():
        raise UnusableError("this onnxruntime has no %s; choose --accelerator cpu" % wanted)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    path = os.path.join(root, job["files"][".onnx"])
    providers = [wanted] if wanted == names["cpu"] else [(wanted, {"use_tf32": "0"}), names["cpu"]]
    session = onnxruntime.InferenceSession(path, settings, providers=providers)
    provider = session.get_providers()[0]
    if provider != wanted:
        raise UnusableError("ONNX Runtime could not start %s there" % wanted)

    def run(image, spans):
        return timed(spans, session.run, job["outputs"], {job["input"]: image})

    engine = "ONNX Runtime %s %s" % (onnxruntime.__version__, provider)
    effective = {"precision": "f32", "accelerator": order["accelerator"], "engine": engine}
    return run, dict(effective, threads=int(session.get_session_options().intra_op_num_threads))


ENGINES = {
    "ncnn": open_ncnn,
    "openvino": open_openvino,
    "tflite": open_tflite,
    "onnxruntime": open_onnxruntime,
}


def load(order):
    """Load the folder of an `open` request; return the function, its inputs in a cycle, and the `ready` answer."""
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), order["root"])
    with open(os.path.join(root, "job.json")) as file:
        job = json.load(file)
    threads = order["threads"] or min(DEFAULT_THREADS, allowed_cores())
    times = []
    run, effective = timed(times, ENGINES[job["runtime"]], root, job, order, threads)
    numpy = importlib.import_module("numpy")  # every engine needs it
    data = numpy.fromfile(os.path.join(root, "inputs.bin"), job["dtype"]).reshape(job["shape"])
    images = [numpy.ascontiguousarray(data[index : index + 1]) for index in range(len(data))]
    timed(times, run, images[0], [])
    ready = {"type": "ready", "load_ms": times[0] * 1e3, "first_ms": times[1] * 1e3}
    return run, itertools.cycle(images), dict(ready, **effective)


def burst(run, images, order):
    """Run once untimed, then for `seconds` and at least `least_runs` times, `most_s` at most."""
    run(next(images), [])
    walls, engine = [], []
    gc.disable()
    try:
        cpu_begin, begin = time.process_time(), time.perf_counter()
        now, end = begin, begin + order["seconds"]
        last = begin + order["most_s"] if order["most_s"] is not None else float("inf")
        while (now < end or len(walls) < order["least_runs"]) and (now < last or not walls):
            spans = []
            timed(walls, run, next(images), spans)
            now = time.perf_counter()
            engine.append(sum(spans))
        cpu_s = time.process_time() - cpu_begin
    finally:
        gc.enable()
    wait_idle()
    return {
        "type": "timed",
        "wall_ns": [int(each * 1e9) for each in walls],
        "engine_ns": [int(each * 1e9) for each in engine],
        "span_ns": int((now - begin) * 1e9),
        "cpu_ns": int(cpu_s * 1e9),
        "peak_rss_bytes": peak_rss_bytes(),
    }


def peak_rss_bytes():
    """Return this process's peak memory; None where the system does not report it."""
    words = read_text("/proc/self/status").partition("VmHWM:")[2].split()
    return int(words[0]) * 1024 if words and words[0].isdigit() else None


def wait_idle():
    """Wait until the engine's threads no longer spin."""
    begin = time.perf_counter()
    while time.perf_counter() - begin < IDLE_LIMIT_S:
        cpu, wall = time.process_time(), time.perf_counter()
        time.sleep(IDLE_POLL_S)
        if time.process_time() - cpu < IDLE_SHARE * (time.perf_counter() - wall):
            return


def serve(requests, answers):
    """Answer requests until they end."""
    first = requests.readline()
    if not first:
        return
    run, images, ready = load(json.loads(first.decode()))
    say(answers, ready)
    for line in requests:
        say(answers, burst(run, images, json.loads(line.decode())))


def say(answers, message):
    """Send one message."""
    answers.write(json.dumps(message).encode() + b"\n")


def main():
    """Print facts, or answer requests; an exception becomes the answer `failed`."""
    answers = os.fdopen(os.dup(1), "wb", 0)
    os.dup2(2, 1)  # engines print to stdout
    if sys.argv[1] == "facts":
        say(answers, facts(sys.argv[2:]))
        return
    try:
        serve(sys.stdin.buffer, answers)
    except Exception as error:
        names = {ImportError: "MissingDependencyError", UnusableError: "InputError"}
        kind = next((names[each] for each in names if isinstance(error, each)), "EngineError")
        say(answers, {"type": "failed", "error": kind, "message": "%s" % error})
        os._exit(1)  # no engine's destructors


if __name__ == "__main__":
    main()
