"""docs/models.md as text: what the figures of models_table.py mean, and the tables. Measures nothing."""

from pathlib import Path
from typing import Any

import msgspec

from edge.catalog.lookup import CATALOG
from runtimes.spec import DENSE_TASKS, Precision, Runtime

RUNTIMES: dict[Runtime, str] = {
    "ncnn": "ncnn",
    "openvino": "OpenVINO",
    "tflite": "TFLite",
    "onnxruntime": "ONNX Runtime",
}
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16")
UNMEASURED = "not measured"


class Row(msgspec.Struct, forbid_unknown_fields=True):
    """One family and size: `oracle` by reference, `cells` by "runtime precision"; texts where there is no number."""

    family: str
    size: str
    task: str
    loads: str
    oracle: dict[str, float] = {}
    cells: dict[str, float | str] = {}
    weights: str = ""


def cell_text(row: Row, runtime: Runtime) -> str:
    """fp32 / fp16 of one runtime."""
    texts = [shown(row.cells.get(f"{runtime} {precision}", UNMEASURED)) for precision in PRECISIONS]
    return texts[0] if texts[0] == texts[1] else " / ".join(texts)


def oracle_text(row: Row) -> str:
    """The worst raw error against a reference; what has none says so."""
    if row.oracle:
        count = len(row.oracle)
        return shown(max(row.oracle.values())) + (f" ({count})" if count > 1 else "")
    return "`unchecked`" if row.task in DENSE_TASKS else "none at this size"


def shown(value: float | str) -> str:
    """One figure; an equality to the last bit as 0."""
    return value if isinstance(value, str) else f"{value:.1e}" if value else "0"


def markdown(rows: list[Row], where: str, measured: Path) -> str:
    """The page, whole; `measured` is where real_weights.json and paf.json lie."""
    header = ["family", "size", "loads", "reference", *RUNTIMES.values(), "weights"]
    lines = [INTRODUCTION, families_table(), MEASURED]
    lines += [table_line(header), "|" + "---|" * len(header)]
    for row in rows:
        size = f"{row.size} ({row.task})" if row.task else row.size
        cells = [cell_text(row, runtime) for runtime in RUNTIMES]
        lines.append(
            table_line([row.family, size, row.loads, oracle_text(row), *cells, row.weights])
        )
    return "\n".join(
        [*lines, "", where, "", IMPORTED, imported_table(measured), UPSAMPLED, ABSENT, ""]
    )


def imported_table(measured: Path) -> str:
    """What is wrapped as it was published, and how it does on photographs."""
    rows = records(measured / "real_weights.json")["rows"]
    lines = [
        "| model | family | runtime | precision | MB | on COCO val2017 photographs |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        if row["gate"] == "imported":
            entry = CATALOG[row["model"]]
            cells = [entry.name, entry.family, RUNTIMES[row["runtime"]], row["precision"]]
            cells += [f"{row['engine_mb']:.2f}", f"AP {row['ap']:.3f}, 80 photographs, true boxes"]
            lines.append(table_line(cells))
    paf = {row["upsample"]: row for row in records(measured / "paf.json")}["4"]
    people = " / ".join(map(str, paf["people_on_photographs"]))
    found = (
        f"AP {paf['ap']:.3f}, 80 photographs, no boxes; people of four other photographs: {people}"
    )
    name = "openpose-mobilenet-tf"
    lines.append(
        table_line([name, CATALOG[name].family, RUNTIMES["onnxruntime"], "fp32", "10.22", found])
    )
    return "\n".join(lines)


def records(path: Path) -> Any:
    """A benchmark's figures."""
    return msgspec.json.decode(path.read_bytes())


def table_line(cells: list[str]) -> str:
    """One line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def families_table() -> str:
    """Who publishes what under which terms, read from the catalogue."""
    lines = [
        "| family | models | licence | commercial use | official files |",
        "|---|---|---|---|---|",
    ]
    terms = dict.fromkeys((e.family, e.licence, e.commercial_use) for e in CATALOG.values())
    for family, licence, commercial in terms:
        entries = [e for e in CATALOG.values() if (e.family, e.licence) == (family, licence)]
        hashed = sum(entry.sha256_prefix is not None for entry in entries)
        addressed = sum(entry.url is not None for entry in entries)
        files = (
            f"{addressed} with an address, {hashed} of them with a hash" if addressed else "none"
        )
        lines.append(
            f"| {family} | {len(entries)} | {licence} | {'yes' if commercial else 'no'} | {files} |"
        )
    return "\n".join(lines)


INTRODUCTION = """# Models

`edgepose models` lists every model that has a name, with its input, keypoints, parameters, multiply-accumulates, its
authors' figure and where that was read, its licence, and where its official weights lie; `edgepose models NAME` shows
one whole. A checkpoint needs no name: family, size and keypoints are read from its tensors.

Nothing is downloaded unless asked: `--weights download` takes the official file, `--weights URL` any other. Both are
kept in `~/.cache/edgepose` (or `EDGEPOSE_CACHE`), gone on with where they broke off, and used only when their sha256
fits what was published; where no hash was published, the one found is printed.

An artifact carries the licence of its weights where these are known to be the publisher's: by hash, or because they
were downloaded from there. Weights that others trained are under other terms, and nothing is said of them, unless the
licence binds the model itself (AlphaPose, CMU OpenPose, Sapiens): then it is always in the artifact's lineage.

Sapiens' body parts, depth and normals are maps: `edge.load(ARTIFACT)(frame)` gives a `DenseMap`, float32 (C, H, W) in
the frame's pixels, of class logits, relative depth (greater is farther) or unit normals. `edgepose run` draws
poses only.
"""
MEASURED = """
## Measured

Raw error: max |a - b| / max(1, max |reference|), the worst output. `reference` compares our PyTorch module with its
authors' implementation on the same weights (in brackets: how many checkpoints, where several); at most 1e-4 is wanted.
A 0 is of two threads. One thread sums in another order: there RTMPose-t and -s differ by 7e-6 and
1.2e-5, FastPose by 3.8e-5, RTMDet-nano by 1.4e-6 with trained weights and 1.7e-4 with drawn ones, which amplify.
The runtimes compare each artifact with that PyTorch module, fp32 / fp16 weights in f32 arithmetic; the gate allows 1e-3
and 3e-2 where it judges raw outputs, and judges pixels or boxes where weights are trained. `weights` says which were
exported: trained ones, random ones of ours, or a reference's (shaken by 1e-3, for they are halves). `loads` is checked
for every size, by building it without memory and knowing it again from its tensors. Sapiens' dense heads have no
reference: `unchecked`.

`refused: over 2 GB`: a TFLite file holds no more, and the export says so before any work. `not measured: needs N GB`:
what this export takes by `export.limits`; up to 10 GB were given to this table. A bare `not measured` needs less, and
awaits a run of benchmarks/models_table.py for that size, which takes minutes.
"""
IMPORTED = """## Imported

Files that are wrapped as their authors converted them, with `edgepose import FILES --like NAME`. There is no PyTorch
model to compare with: what they do is measured on photographs (benchmarks/real_weights.py, benchmarks/paf.py).
"""
UPSAMPLED = """
The `paf` codec reads maps as they are (`upsample` 1, a third of the time) unless the model says otherwise, and
openpose-mobilenet-tf says 4, as its references do. Of the people in those four photographs, 1 and 2 find one fewer: on
the baseball photograph the fifth of the references is no other person, but the batter's arm once more, from a right
shoulder that is a maximum only between bins, once the map is enlarged; at 1 that arm is the batter's.
"""
ABSENT = (
    "RTMO and RTMW, of which mmpose publishes 11 and 5 checkpoints, are not here: there is no definition of theirs in "
    "edgepose."
)
