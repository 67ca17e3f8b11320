"""Proofs that a node, and on the master the whole cluster, does what it is for."""
