"""All programs that run on nodes, and what they share. A standard Python is enough for most of them.

Each program is a module with a `main`; the role `node` puts a launcher for it into /opt/muster/bin.
"""
