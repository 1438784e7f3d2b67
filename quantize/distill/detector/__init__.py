"""RTMDet training: data, label assignment, losses."""
