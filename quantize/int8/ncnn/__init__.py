"""int8 quantization of ncnn models, written in Python: ncnn ships no quantization tool on PyPI."""
