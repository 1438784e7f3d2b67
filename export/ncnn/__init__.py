"""Files of ncnn nets on the host: their layers, weights in half precision, ranges of their values, float16 masks."""
