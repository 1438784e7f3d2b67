"""Turn MPII's labels, as HRNet and mmpose distribute them, into a COCO file that `edgepose eval` scores by PCKh.

python examples/mpii_to_coco.py mpii_val.json --truth mpii_gt_val.mat --out mpii_val_coco.json (scipy reads .mat files)
"""

import argparse
import json
from pathlib import Path
from typing import Any

import edge


def main() -> None:
    """Write images, a person for each record, and the category with MPII's keypoint names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labels", type=Path, help="mpii_val.json")
    parser.add_argument("--truth", help="mpii_gt_val.mat")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    records = json.loads(args.labels.read_text())
    names = sorted({each["image"] for each in records})
    people = [person(each, n, names.index(each["image"])) for n, each in enumerate(records)]
    if args.truth:
        from scipy.io import loadmat  # noqa: PLC0415 without --truth it is not needed

        add_truth(people, loadmat(args.truth))
    images = [{"id": n, "file_name": name} for n, name in enumerate(names)]
    category = {"id": 1, "name": "person", "keypoints": edge.load_schema("mpii16").names}
    content = {"images": images, "annotations": people, "categories": [category]}
    args.out.write_text(json.dumps(content))
    print(f"wrote {args.out}: {len(images)} images, {len(people)} people")


def person(record: dict[str, Any], number: int, image: int) -> dict[str, Any]:
    """Return an annotation whose box is the square that HRNet and mmpose crop, before their padding of 1.25."""
    side = record["scale"] * 200  # pixels of a person of scale 1
    x, y = record["center"][0] - 1, record["center"][1] + 15 * record["scale"] - 1
    box = [x - side / 2, y - side / 2, side, side]
    keypoints = triplets(record["joints"], record["joints_vis"])
    return {"id": number, "image_id": image, "category_id": 1, "bbox": box, "keypoints": keypoints}


def add_truth(people: list[dict[str, Any]], mat: dict[str, Any]) -> None:
    """Take positions and head boxes from the evaluator's own file; people are in its order."""
    for n, each in enumerate(people):
        xy, missing = mat["pos_gt_src"][..., n].tolist(), mat["jnt_missing"][:, n]
        each["keypoints"] = triplets(xy, 1 - missing)
        each["headbox"] = mat["headboxes_src"][..., n].ravel().tolist()


def triplets(joints: Any, labelled: Any) -> list[float]:
    """Return x, y, v of each keypoint; positions are 1-based in MPII's files."""
    points = zip(joints, labelled, strict=True)
    return [value for (x, y), v in points for value in ((x - 1, y - 1, 2) if v else (0, 0, 0))]


if __name__ == "__main__":
    main()
