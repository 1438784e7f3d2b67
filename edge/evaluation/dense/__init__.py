"""Evaluation of dense models: segmentation masks, depth and surface normals, against maps in files."""
