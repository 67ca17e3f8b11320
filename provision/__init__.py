"""Muster: machines, HDFS, Spark and a deep-learning stack from one config file."""

from __future__ import annotations
