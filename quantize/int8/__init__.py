"""Post-training quantization to int8: calibration, one quantizer a runtime, the gate, layer search."""
