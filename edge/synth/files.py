"""Drawn people on disk: COCO keypoint annotations with an image folder, or a video with track ids."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import msgspec

from edge.schema import load_schema
from edge.synth.scene import DrawnPerson, Scene
from edge.synth.versions import DrawnVersion, draw_scene
from runtimes.errors import InputError, SourceError, TargetExistsError
from runtimes.staging import staging


def coco_dataset(scenes: Sequence[Scene], names: Sequence[str]) -> dict[str, Any]:
    """Return COCO keypoint ground truth of the scenes and their file names; image ids count from 1.

    One category, `person`, with COCO's keypoint names and its 1-based skeleton. Annotations have a `track_id`.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, (scene, name) in enumerate(zip(scenes, names, strict=True), start=1):
        height, width = scene.image.shape[:2]
        images.append({"id": image_id, "file_name": name, "width": width, "height": height})
        for person in scene.people:
            annotations.append(_annotation(person, len(annotations) + 1, image_id))
    return _dataset(images, annotations)


def _dataset(images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> dict[str, Any]:
    schema = load_schema("coco17")
    category = {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(schema.names),
        "skeleton": [[first + 1, second + 1] for first, second in schema.edges],
    }
    return {
        "info": {"description": "drawn people, exact ground truth"},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [category],
    }


def _annotation(person: DrawnPerson, annotation_id: int, image_id: int) -> dict[str, Any]:
    x0, y0, x1, y1 = (float(value) for value in person.box)
    triplets = [
        value
        for x, y, v in person.keypoints.tolist()
        for value in (round(x, 2), round(y, 2), int(v))
    ]
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "area": person.area,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "num_keypoints": int((person.keypoints[:, 2] > 0).sum()),
        "keypoints": triplets,
        "track_id": person.person_id,
    }


def write_dataset(
    directory: str | Path,
    seed: int,
    count: int,
    wh: tuple[int, int] = (640, 480),
    version: DrawnVersion = 1,
) -> Path:
    """Draw `count` images into `directory`/images and `directory`/person_keypoints.json; return the json's path.

    Image i is `draw_scene(seed + i, wh, version=version)` as a JPEG of quality 95. The directory is complete or absent.
    Raises TargetExistsError where it exists already.
    """
    target = Path(directory)
    if target.exists():
        raise TargetExistsError(f"{target} exists; remove it or name another directory")
    with staging(target.parent) as staged:
        draft = staged / target.name
        (draft / "images").mkdir(parents=True)
        scenes, names = [], []
        for index in range(count):
            scene = draw_scene(seed + index, wh, version=version)
            names.append(f"{index:06d}.jpg")
            _write_image(draft / "images" / names[-1], scene)
            scenes.append(scene)
        data = msgspec.json.encode(coco_dataset(scenes, names))
        (draft / "person_keypoints.json").write_bytes(data)
        draft.replace(target)
    return target / "person_keypoints.json"


def _write_image(path: Path, scene: Scene) -> None:
    _, data = cv2.imencode(".jpg", scene.image, [cv2.IMWRITE_JPEG_QUALITY, 95])
    path.write_bytes(data.tobytes())


def write_clip(path: str | Path, scenes: Iterable[Scene], fps: float) -> Path:
    """Write the scenes' images as an MP4 (mp4v) and return its path.

    Raises InputError where there is no scene or sizes differ, SourceError where OpenCV cannot write the file.
    """
    target = Path(path)
    with staging(target.parent) as staged:
        draft = staged / target.name
        _write_video(draft, scenes, fps)
        draft.replace(target)
    return target


def write_tracking_clip(directory: str | Path, scenes: Iterable[Scene], fps: float) -> Path:
    """Write a clip as `directory`/clip.mp4 and its ground truth as `directory`/tracks.json; return the json's path.

    The truth is COCO's, with a `track_id` (the person_id) in every annotation, and `video_id`, `frame_id` (from 0) and
    `time_s` in every image, as in COCO's video data sets. Takes one scene at a time. The directory is complete or
    absent. Raises TargetExistsError where it exists already, and as `write_clip` does.
    """
    target = Path(directory)
    if target.exists():
        raise TargetExistsError(f"{target} exists; remove it or name another directory")
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []

    def recorded() -> Iterator[Scene]:
        for frame_id, scene in enumerate(scenes):
            height, width = scene.image.shape[:2]
            image = {"id": frame_id + 1, "file_name": f"{frame_id:06d}", "width": width}
            place = {"video_id": 1, "frame_id": frame_id, "time_s": round(frame_id / fps, 6)}
            images.append({**image, "height": height, **place})
            for person in scene.people:
                annotations.append(_annotation(person, len(annotations) + 1, frame_id + 1))
            yield scene

    with staging(target.parent) as staged:
        draft = staged / target.name
        draft.mkdir()
        _write_video(draft / "clip.mp4", recorded(), fps)
        video = {"id": 1, "name": "clip.mp4", "fps": fps}
        data = {"videos": [video], **_dataset(images, annotations)}
        (draft / "tracks.json").write_bytes(msgspec.json.encode(data))
        draft.replace(target)
    return target / "tracks.json"


def _write_video(target: Path, scenes: Iterable[Scene], fps: float) -> None:
    writer: cv2.VideoWriter | None = None
    wh = (0, 0)
    try:
        for scene in scenes:
            height, width = scene.image.shape[:2]
            if writer is None:
                wh = (width, height)
                writer = cv2.VideoWriter(str(target), cv2.VideoWriter.fourcc(*"mp4v"), fps, wh)
                if not writer.isOpened():
                    raise SourceError(
                        f"OpenCV cannot write {target.name}; name a file that ends in .mp4"
                    )
            if (width, height) != wh:
                raise InputError(f"scenes of one clip differ in size: {wh}, then {(width, height)}")
            writer.write(scene.image)
    finally:
        if writer is not None:
            writer.release()
    if writer is None:
        raise InputError("a clip needs at least one scene")
