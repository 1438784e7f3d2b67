"""The state of one source between frames: who is there, and when the detector runs."""

from dataclasses import replace

import numpy as np

from edge.pipeline.boxes import usable
from edge.pipeline.candidates import Candidates, detected
from edge.pipeline.evidence import Evidence
from edge.pipeline.options import SceneOptions
from edge.pipeline.people import People, states_of
from edge.pipeline.result import PersonState
from edge.schema import KeypointSchema
from edge.types import F32, Detections, Frame, Poses


class Scene:
    """The people of one source, frame after frame; never shared by two sources.

    A frame goes through `wants_detection`, `candidates` and `finish`, in this order, and frames go through in theirs.
    A frame's `candidates` need the frame before finished, unless `independent`; so does `wants_detection`, unless
    `scheduled`.
    """

    def __init__(self, schema: KeypointSchema, options: SceneOptions) -> None:
        self._options = options
        self._count = 0
        self._people = None if options.stateless else People(schema, options)
        auto = options.skip == "auto" and not options.whole_frame
        self._evidence = Evidence(options.tracking) if auto else None

    @property
    def independent(self) -> bool:
        """Whether no frame needs the result of the one before, so that their stages may overlap."""
        return self._options.stateless

    @property
    def scheduled(self) -> bool:
        """Whether `wants_detection` needs no result of the frame before: skip is a number."""
        return self._evidence is None

    def wants_detection(self, frame: Frame) -> bool:
        """Return whether the detector runs on the next frame, and count it."""
        if self._evidence is not None:
            return self._evidence.wants(frame) is not None
        if self._options.skip == "auto":  # without a detector
            return False
        wanted = self._count % self._options.skip == 0
        self._count += 1
        return wanted

    def candidates(self, frame: Frame, found: Detections | None) -> Candidates:
        """Return the boxes for the pose model; found: the detector's, None where it did not run."""
        found = Detections.empty() if found is None else usable(found, frame.image)
        if self._people is None or self._options.whole_frame:
            return detected(found)
        return self._people.candidates(frame, found)

    def finish(
        self,
        frame: Frame,
        poses: Poses,
        candidates: Candidates | None,
        embeddings: F32 | None = None,
        duplicates: Poses | None = None,
    ) -> tuple[Poses, tuple[PersonState, ...]]:
        """Return the people of the frame and the state of each, and remember them.

        poses: without duplicates; their ids are the rows of their candidates, or -1 for those of a bottom-up model
        (candidates None). embeddings: of their appearance, float32 (N, D), or None. duplicates: the poses that pose NMS
        dropped, None for none.
        """
        if self._people is None:
            states = states_of(poses, candidates)
            return replace(poses, ids=np.full(len(poses), -1, np.int32)), tuple(states)
        dropped = poses[:0] if duplicates is None else duplicates
        settled = self._people.settle(frame, poses, candidates, embeddings, dropped)
        if self._evidence is not None:
            self._evidence.settle(
                self._people.last, self._people.boxes(), lost=settled.lost, new=settled.new
            )
        return settled.shown, settled.states
