"""Protocols of data sets that are not scored by COCO's average precision."""
