"""Text and tables of docs/models.md, from the figures of models_table.py. Measures nothing."""

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
    """One family and size: `oracle` by reference, `cells` by "runtime precision"; text where there is no number."""

    family: str
    size: str
    task: str
    loads: str
    oracle: dict[str, float] = {}
    cells: dict[str, float | str] = {}
    weights: str = ""


def cell_text(row: Row, runtime: Runtime) -> str:
    """Return the cell of one runtime: fp32 / fp16."""
    texts = [shown(row.cells.get(f"{runtime} {precision}", UNMEASURED)) for precision in PRECISIONS]
    return texts[0] if texts[0] == texts[1] else " / ".join(texts)


def oracle_text(row: Row) -> str:
    """Return the worst raw error against the references; text where there are none."""
    if row.oracle:
        count = len(row.oracle)
        return shown(max(row.oracle.values())) + (f" ({count})" if count > 1 else "")
    return "`unchecked`" if row.task in DENSE_TASKS else "none at this size"


def shown(value: float | str) -> str:
    """Return one figure as text; bit-exact agreement as 0."""
    return value if isinstance(value, str) else f"{value:.1e}" if value else "0"


def markdown(rows: list[Row], where: str, measured: Path) -> str:
    """Return the whole page; `measured`: the folder of real_weights.json and paf.json."""
    header = ["family", "size", "loads", "reference", *RUNTIMES.values(), "weights"]
    lines = [INTRODUCTION, families_table(), STUDENTS_TITLE, students_table(), MEASURED]
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
    """Return the table of imported models: files as published, measured on photographs."""
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
    """Return a benchmark's figures."""
    return msgspec.json.decode(path.read_bytes())


def table_line(cells: list[str]) -> str:
    """Return one line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def students_table() -> str:
    """Return the table of trainable networks with what each costs, from the catalogue."""
    lines = ["| student | input | parameters (M) | GMACs | output |", "|---|---|---|---|---|"]
    for name, output in STUDENTS.items():
        entry = CATALOG[name]
        width, height = entry.input_wh
        cells = [f"`{name}`", f"{height}x{width}", f"{entry.params_m:.2f}", f"{entry.gmacs:.2f}"]
        lines.append(table_line([*cells, output]))
    return "\n".join(lines)


def families_table() -> str:
    """Return the table of families, licences and official files, from the catalogue."""
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


# Networks that `distill` and `train` take, one of each kind and size.
STUDENTS = {
    "rtmpose-t": "SimCC",
    "rtmpose-s": "SimCC",
    "rtmpose-m": "SimCC",
    "cspnext-t-fpn": "UDP heatmaps",
    "cspnext-s-fpn": "UDP heatmaps",
    "cspnext-m-fpn": "UDP heatmaps",
    "cspnext-t": "UDP heatmaps",
    "cspnext-s": "UDP heatmaps",
    "cspnext-m": "UDP heatmaps",
    "vitpose-s-simple": "UDP heatmaps",
    "vitpose-s": "UDP heatmaps",
    "fastpose-res50": "heatmaps, or `-integral`",
}
STUDENTS_TITLE = """
## Students

Networks that can be trained here ([distillation.md](distillation.md)), with 17 keypoints; parameters and
multiply-accumulates are counted on the network, which a test compares with these figures.
"""

INTRODUCTION = """# Models

`edgepose models` lists every named model with its input, keypoints, parameters, multiply-accumulates, published AP and
its source, licence, and the URL of its official weights; `edgepose models NAME` shows one in full. A checkpoint needs
no name: family, size and keypoints are read from it; [export.md](export.md) says how.

RTMPose, CSPNeXt, RTMDet, ViTPose and Sapiens load at any depth and width. A size that was not published is named
after its tensors: `rtmpose-614x1x2x2x1` has 614 channels after the last stage (`widen_factor` 0.6) and 1, 2, 2, 1
blocks in the stages; an RTMDet adds `-neck1` (blocks of a CSP layer in the neck), `-dw` (depthwise) and `-exp`;
`vitpose-384x3x12-simple` has 384 channels, 3 blocks and 12 heads ([its options](#options-of-a-vitpose)). Two facts
are not in the tensors. Attention heads: those of the published width, else what a config in or beside the file
says, else one for each 64 channels; `--heads N` overrides. `exp_on_reg` of an RTMDet: what the config in the file
says, else as in the published sizes of that width (true from m on).

`cspnext-t` ... `cspnext-l` are mmpose's CSPNeXt-UDP: the backbone of RTMPose under three deconvolutions to UDP
heatmaps, which is how RTMPose's backbones are pre-trained. `-fpn` at the end stands for the light head of this
project's students: a feature pyramid of separable 5x5 convolutions with the grid doubled by repetition, heatmaps of
1/4 of the input. The sides of their inputs are any multiples of 32.

FastPose with deformable convolutions (AlphaPose's DCN models) is recognised and refused: torch has no such
convolution without torchvision, TFLite has no operator for it, and models here convert to all four runtimes.

`edgepose get NAME...` downloads the official file, exports it for the best installed runtime (`--runtime`,
`--precision`), checks it, and puts it into the cache, where every verb, `edge.load` and `edge.Pipeline` find it by
its name. `EDGEPOSE_CATALOG=FILE.json` adds models, or other addresses of the same ones: a list of
`{"name", "url", "sha256", "like"}`, where `like` (optional) is the published model whose network it has.

Nothing is downloaded unless asked: `get` and `--weights download` take the official file, `--weights URL` any other.
All are cached in `~/.cache/edgepose` (or `EDGEPOSE_CACHE`), resumed after an interruption, and used only when their
sha256 is the published one; where no hash was published, the file's own is printed.

An artifact carries the licence of its weights where these are known to be the publisher's: by hash, or because they
were downloaded from there. Weights trained by others are under other terms, which are not stated, unless the licence
binds the model itself (AlphaPose, CMU OpenPose, Sapiens): then it is always in the artifact's lineage.

### Options of a ViTPose

The options of ViTPose++ (arXiv:2212.04246, sections 3.1 and 3.3) follow the backbone in the size's name, in this order:
`vitpose-b-stride8-window8x8-shift-pool-simple`.

| part | meaning | read from the tensors |
|---|---|---|
| `-stride8` | patches of 16x16 pixels, 8 apart: features of 1/8, heatmaps of 1/4 (`ratio=2` of the authors' \
code) | a lone deconvolution; else from `ratio` of the config in the file |
| `-stride8-maps2` | the same with heatmaps of 1/2 (`ratio=2` and two deconvolutions) | from `ratio` of the \
config in the file |
| `-window8x8` | attention within windows of 8 columns and 8 rows of patches | no |
| `-shift` | every second block moves its windows by half (as in Swin) | no |
| `-pool` | the mean token of every window is a key and a value in all windows | no |
| `-full3` | every third block attends to all patches (`interval` of the authors' ViTDet) | no |
| `-relpos` | relative positions, in the key layout of the authors' ViTDet (`attn.rel_pos_h`, `attn.rel_pos_w`) | \
yes, with heads, square windows and `-full3` |
| none, `-simple`, `-minimal` | decoders: two deconvolutions; ReLU, bilinear, 3x3; ReLU, bilinear, 1x1 (the \
authors' code) | yes |
| `-pixelshuffle` | the paper's minimal decoder (eq. 4): a 1x1 convolution to 16 channels a keypoint, pixel \
shuffle | yes, where the number of keypoints is a known set's or named |
| `-ae` | bottom-up (eq. 5): deconvolutions to a heatmap and a tag map a keypoint, in the layout of mmpose \
1.x's `AssociativeEmbeddingHead` | where the file, `--keypoints` or `--task` names the keypoints, of which \
there are half as many as channels |

What the tensors do not show is spelled out with `--size` (`export`, `eval`, `verify --layers`); a student's file
says it itself. Neither the authors nor mmpose publish weights with strides of 8 or windows, and the authors'
repository has no code for the windows, so these have no reference output: the tests compare them with attention
over all tokens under the mask that the definition gives. The grouping of `-ae` gives what mmpose 1.3.2's does on
drawn maps (`tests/unit/edge/codecs/test_ae.py`). Two things differ: a candidate farther than the limit from a
person costs the same however far it is (mmpose may move everybody to a neighbour to save distance for a stranger),
and missing keypoints are sought, and all refined, on heatmaps before suppression, as HigherHRNet's authors do.
HigherHRNet itself and other networks with heatmaps and tags come as ONNX with `import --spec`
([export.md](export.md)).

### What a model outputs

Sapiens' body parts, depth and normals are maps: `edge.load(ARTIFACT)(frame)` returns a `DenseMap`, float32 (C, H, W) in
the frame's pixels, of class logits, relative depth (greater is farther) or unit normals. `edgepose run` draws
poses only.
"""
MEASURED = """
## Measured

Raw error: max |a - b| / max(1, max |reference|), the worst output. `reference` compares our PyTorch module with its
authors' implementation on the same weights (in brackets: the number of checkpoints, where several); the goal is 1e-4.
A 0 was measured with two threads. One thread sums in another order: there RTMPose-t and -s differ by 7e-6 and
1.2e-5, FastPose by 3.8e-5, RTMDet-nano by 1.4e-6 with trained weights and 1.7e-4 with random ones, which amplify.
The runtimes compare each artifact with that PyTorch module, fp32 / fp16 weights in f32 arithmetic; the gate allows 1e-3
and 3e-2 where it judges raw outputs, and judges pixels or boxes where weights are trained. `weights` says which were
exported: trained, random, or a reference's (perturbed by 1e-3, since they are exact in float16). `loads` is checked
for every size, by building it on the meta device and recognising it from its tensors. Sapiens' dense heads have no
reference: `unchecked`.

`refused: over 2 GB`: the limit of a TFLite file; the export is refused before any work. `not measured: needs N GB`: the
memory of this export as estimated by `export.limits`; this table was measured with 10 GB. A bare `not measured` needs
less: run benchmarks/models_table.py for that size, which takes minutes.
"""
IMPORTED = """## Imported

Files as their authors converted them, wrapped with `edgepose import FILES --like NAME`. There is no PyTorch model to
compare with: their accuracy is measured on photographs (benchmarks/real_weights.py, benchmarks/paf.py).
"""
UPSAMPLED = """
The `paf` codec reads maps at their own resolution (`upsample` 1, a third of the time) unless the model's spec sets
another: openpose-mobilenet-tf sets 4, as its references do. Of the people in those four photographs, 1 and 2 find one
fewer: the fifth of the references on the baseball photograph is a false positive, the batter's arm a second time, from
a right shoulder that is a maximum only between bins, in the enlarged map; at 1 that arm is part of the batter.
"""
ABSENT = """RTMO and RTMW, of which mmpose publishes 11 and 5 checkpoints, are not supported. Nor are OpenPose's
networks of faces and hands: they are top-down, and their boxes come from body keypoints (the eyes and ears; the wrist
beyond the elbow), which no model spec here can say. Hands and faces come from RTMPose's, and from whole-body
networks."""
