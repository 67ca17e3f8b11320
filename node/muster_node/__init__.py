"""All programs that run on nodes, and what they share. The standard library is all they need.

Each program is a module with a `main`; the role `node` puts a launcher for it into /opt/muster/bin.
"""
