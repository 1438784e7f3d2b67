"""The two images in docs/: real weights on a drawn clip. Skeletons must fit the people, which no training set held.

    python benchmarks/docs_frames.py ../shared/real docs

The person detector on OpenVINO every 5th frame, PP-TinyPose on ncnn; the images contain nothing of the real data set.
"""

import argparse
import tempfile
from pathlib import Path

from edge.image import write_image
from edge.media.draw import draw_poses, put_banner
from edge.model import load
from edge.pipeline import Pipeline
from edge.synth import draw_clip
from edge.types import Frame
from export import Target, export_model, load_weights
from export.engine_files import engine_files
from export.import_model import import_model
from export.import_spec import like_spec

SEED, WH, SKIP = 22, (960, 540), 5
SHOWN = (24, 60)


def main() -> None:
    """Run the clip and write two frames."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("real", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    models = args.real / "models"
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        weights = models / "rtmdet-nano-person" / "rtmdet_nano_person.pth"
        detector = export_model(
            load_weights(str(weights), None), [Target("openvino", "fp32")], out
        )[0].path
        runtime, files = engine_files([models / "tinypose-256x192" / "tinypose_256x192.param"])
        pose = import_model(files, like_spec("tinypose-256x192", runtime), out).artifact.root
        with Pipeline(load(pose), load(detector), skip=SKIP) as pipeline:
            for index, scene in enumerate(draw_clip(SEED, wh=WH)):
                result = pipeline.step(Frame(scene.image, index, index / 24))
                if index in SHOWN:
                    picture = draw_poses(scene.image, result.poses, 0.3)
                    how = "detected" if result.detected else "followed"
                    note = f"drawn people, frame {index} ({how}): RTMDet-nano openvino, PP-TinyPose ncnn"
                    write_image(
                        args.out / f"drawn-frame-{SHOWN.index(index) + 1}.jpg",
                        put_banner(picture, note),
                    )


if __name__ == "__main__":
    main()
