"""The job queue of a cluster's master: records, queue, runner. Standard library only."""
