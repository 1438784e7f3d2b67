"""The size of a teacher cache on photographs: bytes a person as they are packed, and as float16 maps.

    python benchmarks/cache_size.py ../shared/real OUT

The teacher is PP-TinyPose, the people are LSPET's; its artifact stays in OUT.
"""

import argparse
from pathlib import Path

import numpy as np
from distill_real import import_teacher

from edge.schema import load_schema
from quantize.distill.data.instances import annotated_instances
from quantize.distill.data.patch_cache import PatchCache
from quantize.distill.teachers.cache import build_teacher_cache
from quantize.distill.teachers.teacher import open_teacher

PEOPLE = 64
MAP_WH = (48, 64)


def main() -> None:
    """Cache some people's maps and print the bytes of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("real", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    coco = load_schema("coco17")
    teacher = open_teacher(str(import_teacher(args.real / "models/tinypose-256x192", args.out)))
    athletes = annotated_instances(args.real / "people/lspet/person_keypoints.json", coco)[:PEOPLE]
    patches = PatchCache(athletes, teacher.spec.crop.padding)
    cache = build_teacher_cache(
        args.out / "cache", teacher, patches, coco, MAP_WH, lambda _done, _total: None
    )
    packed = sum(len(shard) for shard in cache.shards) / PEOPLE
    maps = len(coco) * int(np.prod(MAP_WH)) * 2
    print(f"{packed:.0f} bytes a person; {maps} as float16")


if __name__ == "__main__":
    main()
