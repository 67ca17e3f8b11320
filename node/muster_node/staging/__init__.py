"""Putting prepared sets into HDFS, on all nodes at once."""
