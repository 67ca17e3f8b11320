"""HDFS, and a folder that stands for it on a node that has none."""
