"""Muster: gathers a training cluster from one config file."""
