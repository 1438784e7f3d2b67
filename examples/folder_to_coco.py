"""Label a folder of pictures: a COCO keypoint file of the poses that a model finds, to be corrected by hand.

python examples/folder_to_coco.py photographs --pose rtmpose-m --detector rtmdet-m --out labels.json
"""

import argparse
import json
from pathlib import Path
from typing import Any

import edge


def main() -> None:
    """Write images, annotations and the category of one keypoint set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--pose", required=True, help="artifact, or its name in the cache")
    parser.add_argument("--detector", default=None)
    parser.add_argument("--kpt-thr", type=float, default=0.3, help="label keypoints above")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    images: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    with (
        edge.Pipeline(args.pose, args.detector) as pipeline,
        edge.open_source(args.folder) as frames,
    ):
        schema = pipeline.pose.schema
        for result in pipeline.stream(frames):
            height, width = result.frame.image.shape[:2]
            number, name = len(images) + 1, result.frame.name
            images.append({"id": number, "file_name": name, "width": width, "height": height})
            for person in result.poses.to_coco(image_id=number):
                people.append(labelled(person, len(people) + 1, args.kpt_thr))
    category = {"id": 1, "name": "person", "keypoints": schema.names}
    args.out.write_text(
        json.dumps({"images": images, "annotations": people, "categories": [category]})
    )
    print(f"wrote {args.out}: {len(images)} images, {len(people)} people", *frames.losses.notes())


def labelled(person: dict[str, Any], number: int, threshold: float) -> dict[str, Any]:
    """Return a result as an annotation: visibility 2 in place of scores above the threshold, else 0, 0, 0."""
    values, box = person["keypoints"], person["bbox"]
    triplets = zip(values[::3], values[1::3], values[2::3], strict=True)
    points = [(x, y, 2) if score > threshold else (0, 0, 0) for x, y, score in triplets]
    return {
        "id": number,
        "image_id": person["image_id"],
        "category_id": 1,
        "bbox": box,
        "area": box[2] * box[3],
        "num_keypoints": sum(v > 0 for _, _, v in points),
        "keypoints": [value for point in points for value in point],
    }


if __name__ == "__main__":
    main()
