"""The config file, which is the inventory too: from YAML to a validated ClusterSpec, and back."""
