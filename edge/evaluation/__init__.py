"""Evaluation on labelled data sets: COCO AP and the readers and mappings around it."""
