"""Evaluation on labelled data sets: COCO files, predictions, AP and the protocols of other sets."""
