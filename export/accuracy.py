"""The accuracy gate: the drop in AP from a reference to an artifact on ground truth, with its bootstrap interval."""

from collections.abc import Callable, Sequence

from edge.evaluation.average_precision import bootstrap_ap_drop
from edge.evaluation.coco import CocoResult
from edge.evaluation.dataset import Dataset
from edge.evaluation.predict import predict
from edge.evaluation.score import protocol_of, score
from edge.model import Model
from runtimes.artifact import Artifact
from runtimes.parity_spec import ApParity
from runtimes.registry import open_session

AccuracyGate = Callable[[Artifact], ApParity]
DEFAULT_MAX_DROP = 0.5  # points: 0.005 AP


def ap_gate(
    reference: Model,
    label: str,
    dataset: Dataset,
    max_drop: float | None,
    det_classes: Sequence[str] = (),
) -> AccuracyGate:
    """Return a gate that compares the AP of artifacts on `dataset` with that of `reference`, which is run once, now.

    reference: the PyTorch model, or the artifact that others are made from; `label` is its name in the record.
    det_classes: a detector's classes that are people, as `person_labels` takes them.
    max_drop: in points (0.5 = .005 AP). A drop whose interval spans the limit is undecided: `passed` None.
    """
    limit = (DEFAULT_MAX_DROP if max_drop is None else max_drop) / 100
    protocol = protocol_of(reference, dataset.truth)  # refuses other keypoints, before the work
    expected = predict(reference, dataset, det_classes=det_classes)
    reference_ap = score(reference, dataset, expected).AP

    def measure_drop(artifact: Artifact) -> ApParity:
        with Model(artifact.manifest, open_session(artifact)) as model:
            results: list[CocoResult] = predict(model, dataset, det_classes=det_classes)
            ap = score(model, dataset, results).AP
        drop, low, high = bootstrap_ap_drop(
            protocol.truth,
            expected,
            results,
            sigmas=protocol.sigmas,
            use_area=protocol.use_area,
        )
        return ApParity(
            reference=label,
            passed=True if high <= limit else False if low > limit else None,
            limit=limit,
            samples=len(dataset.paths),
            ap=ap,
            ap_reference=reference_ap,
            ap_drop=drop,
            ap_interval=(low, high),
        )

    return measure_drop
