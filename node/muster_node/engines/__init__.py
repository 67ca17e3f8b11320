"""Engines of ipyparallel, their controller, and who has joined."""
