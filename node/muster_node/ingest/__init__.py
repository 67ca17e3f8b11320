"""Bringing data in: archives in parts, lists of addresses, other stores; what nodes do for job `ingest`."""
