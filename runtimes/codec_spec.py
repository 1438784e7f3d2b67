"""The `codec` of artifact.json: how to decode outputs, one struct per kind; `edge.codecs` implements them."""

from typing import Annotated, Literal

from msgspec import Meta

from runtimes.record import Count, Positive, Record, Size

Stride = Annotated[int, Meta(ge=1, le=1024)]
Strides = Annotated[tuple[Stride, ...], Meta(min_length=1)]


class SimCCCodec(Record, frozen=True, kw_only=True, tag="simcc", tag_field="kind"):
    """SimCC logits: x bins (B, K, W * split), y bins (B, K, H * split). RTMPose, arXiv:2303.07399.

    sigma: (x, y) of the Gaussian that a keypoint was in training, in bins; None where it is not known.
    """

    split_ratio: Annotated[float, Meta(ge=0.1, le=64)] = 2.0
    sigma: tuple[Positive, Positive] | None = None


class HeatmapCodec(Record, frozen=True, kw_only=True, tag="heatmap", tag_field="kind"):
    """Heatmaps (B, K, h, w), one peak per keypoint.

    refine: "shift" moves a quarter bin to the higher neighbour along each axis; "shift-inside" only where the peak
    has neighbours on both axes (AlphaPose); "dark" is arXiv:1910.06278; "udp" is its form for UDP heatmaps
    (arXiv:1911.07524), whose bins span the input by W - 1 instead of W.
    sigma: as for SimCC, in bins of the map.
    """

    refine: Literal["none", "shift", "shift-inside", "dark", "udp"] = "shift"
    blur_kernel: Annotated[int, Meta(ge=1, le=255)] = 11
    shift_flip: bool = False
    sigma: tuple[Positive, Positive] | None = None


class IntegralCodec(Record, frozen=True, kw_only=True, tag="integral", tag_field="kind"):
    """Maps (B, K, h, w) whose mean position is the keypoint: symmetric integral regression, arXiv:2211.03375.

    norm makes a map positive before it is divided by its sum: with "sigmoid" its highest value is the score;
    "softmax" and "divide_sum" give every keypoint the score 1.
    """

    norm: Literal["sigmoid", "softmax", "divide_sum"] = "sigmoid"
    shift_flip: bool = False


class YxsCodec(Record, frozen=True, kw_only=True, tag="yxs", tag_field="kind"):
    """Direct regression (B, 1, K, 3) as (y, x, score), y and x in 0..1 of the input (MoveNet)."""


class RTMDetCodec(Record, frozen=True, kw_only=True, tag="rtmdet", tag_field="kind"):
    """Anchor-free per-level logits and distances in pixels; points at (x * stride, y * stride). arXiv:2212.07784."""

    strides: Strides = (8, 16, 32)
    max_candidates: Count = 1000
    max_detections: Count = 100


class YOLOXCodec(Record, frozen=True, kw_only=True, tag="yolox", tag_field="kind"):
    """One (B, A, 5 + classes) tensor: (cx, cy, log w, log h) in strides, objectness, class scores. arXiv:2107.08430."""

    strides: Strides = (8, 16, 32)
    max_candidates: Count = 1000
    max_detections: Count = 100


class BoxesCodec(Record, frozen=True, kw_only=True, tag="boxes", tag_field="kind"):
    """NMS in the graph: dets (B, N, 5) as x0, y0, x1, y1, score in input pixels, and labels (B, N)."""


class YoloCodec(Record, frozen=True, kw_only=True, tag="yolo", tag_field="kind"):
    """One (B, 4 + classes + K * point_values, A) tensor, NMS still to do: what Ultralytics' YOLOs from v8 on export.

    Channels: cx, cy, w, h in input pixels; a score of each class; then x, y in input pixels and, with 3 values a
    keypoint, its score. A detector's has no keypoints.
    """

    point_values: Literal[2, 3] = 3
    max_candidates: Count = 1000
    max_detections: Count = 300


class YoloRowsCodec(Record, frozen=True, kw_only=True, tag="yolo-rows", tag_field="kind"):
    """The same with NMS in the graph, or end-to-end: one (B, N, 6 + K * point_values) tensor.

    Columns: x0, y0, x1, y1 in input pixels, score, label, then keypoints. Rows of score 0 are padding.
    """

    point_values: Literal[2, 3] = 3


class DenseCodec(Record, frozen=True, kw_only=True, tag="dense", tag_field="kind"):
    """One map (B, C, h, w) over the whole input: class logits, depth, or surface normals.

    scale "unit": each pixel's C values are a direction and are normalised to length 1 after resizing.
    """

    scale: Literal["none", "unit"] = "none"


class EmbeddingCodec(Record, frozen=True, kw_only=True, tag="embedding", tag_field="kind"):
    """Appearance of the person in a crop: a vector (B, D), or a feature map (B, D, h, w) whose mean it is."""


class PafLimb(Record, frozen=True, kw_only=True):
    """A limb: `ends` are its keypoints, `channels` the x and y components of its affinity field.

    starts: False for a limb that the skeleton does not need (ear to shoulder): it completes people and starts none.
    """

    ends: tuple[int, int]
    channels: tuple[int, int]
    starts: bool = True


class PafCodec(Record, frozen=True, kw_only=True, tag="paf", tag_field="kind"):
    """Heatmaps (B, K + 1, h, w), the last the background, and affinity fields (B, 2 L, h, w), of all people at once.

    One output may hold both, heatmaps first. Lengths are in bins of the network's maps. OpenPose, arXiv:1812.08008.

    limbs: in the order of assembly. upsample: the factor by which maps are enlarged (bicubic) before peaks are sought.
    refine: "parabola" places a peak between bins, "none" on the bin (what the references do, on enlarged maps).
    blur: sigma of a Gaussian over the heatmaps, 0 for none. Peaks under `peak_score` are dropped; of those nearer than
    `separation` the leftmost stays. `alignment`: a point of a limb agrees where field times direction exceeds it.
    limb_score: "agreeing" is the mean over agreeing points; "all" over all points, less for limbs over half a map long.
    assembly: "attach" adds a limb to the person that owns its first end (OpenPose); "merge" also joins two halves of a
    person that a limb connects (pytorch-openpose). People with fewer than `min_keypoints`, or a mean score per keypoint
    under `min_score`, are dropped.
    """

    limbs: Annotated[tuple[PafLimb, ...], Meta(min_length=1)]
    upsample: Annotated[int, Meta(ge=1, le=64)] = 1
    refine: Literal["none", "parabola"] = "parabola"
    blur: Annotated[float, Meta(ge=0, le=100)] = 0.0
    peak_score: Annotated[float, Meta(gt=0, le=10)] = 0.1
    separation: Annotated[float, Meta(ge=0, le=1000)] = 1.5
    alignment: Annotated[float, Meta(ge=-10, le=10)] = 0.05
    limb_score: Literal["agreeing", "all"] = "agreeing"
    assembly: Literal["attach", "merge"] = "attach"
    min_keypoints: Size = 3
    min_score: Annotated[float, Meta(ge=0, le=10)] = 0.2


class AssociativeEmbeddingCodec(Record, frozen=True, kw_only=True, tag="ae", tag_field="kind"):
    """Heatmaps (B, K, h, w) of all people at once, and tags (B, K * L, h, w) that are alike within a person.

    Tag channel l * K + k is keypoint k's; tags (B, L, h, w), L no multiple of K, are one for all keypoints. One output
    may hold both, heatmaps first. Associative embedding, arXiv:1611.05424; defaults are those of mmpose's HigherHRNet
    (arXiv:1908.10357).

    Candidates are the `candidates` best bins of each heatmap that exceed `peak_score` and are the highest in a square
    of `nms_kernel` bins. keypoint_order: of joining people, from head and torso outwards; empty: as listed. A candidate
    joins the person whose mean tag is nearest, one a person, or starts one where none is within `tag_distance`.
    missing: "fill" gives a keypoint that was not grouped the bin that fits the person's tag best; "leave" leaves it
    out. People with fewer than `min_keypoints` grouped keypoints are dropped.
    refine: "shift" and "udp" as for heatmaps; "shift-centre" adds half a bin, for labels that were rounded down
    (HigherHRNet's authors, mmpose 0.x). blur_kernel: of "udp".
    """

    keypoint_order: tuple[Size, ...] = ()
    nms_kernel: Annotated[int, Meta(ge=1, le=255)] = 5
    peak_score: Positive = 0.1
    candidates: Count = 30
    tag_distance: Positive = 1.0
    max_people: Count = 30
    missing: Literal["fill", "leave"] = "fill"
    min_keypoints: Size = 1
    refine: Literal["none", "shift", "shift-centre", "udp"] = "shift"
    blur_kernel: Annotated[int, Meta(ge=1, le=255)] = 3


Codec = (
    SimCCCodec
    | HeatmapCodec
    | IntegralCodec
    | YxsCodec
    | RTMDetCodec
    | YOLOXCodec
    | BoxesCodec
    | YoloCodec
    | YoloRowsCodec
    | DenseCodec
    | EmbeddingCodec
    | PafCodec
    | AssociativeEmbeddingCodec
)
