"""What is remembered of a cluster: its folder, journal, lease and timeline."""
