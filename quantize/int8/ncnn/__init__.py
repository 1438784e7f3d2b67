"""int8 quantization of ncnn models in Python: ncnn's own tools are not on PyPI."""
