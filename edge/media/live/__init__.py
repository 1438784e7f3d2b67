"""Sources whose frames arrive by themselves: cameras, network streams, GStreamer, and raw frames on stdin."""
