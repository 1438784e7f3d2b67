"""Non-maximum suppression: by overlap (IoU, OKS) and parametric pose NMS."""
