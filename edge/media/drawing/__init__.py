"""Parts of the drawing of skeletons: colours and groups of keypoints, strokes and labels."""
