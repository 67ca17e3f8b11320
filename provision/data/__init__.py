"""Stores and sets: the data that outlives clusters."""
