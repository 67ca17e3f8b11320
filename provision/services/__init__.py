"""What runs on a cluster, seen from here: live counts, web pages, proofs."""
