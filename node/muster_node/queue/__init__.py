"""The job queue of a cluster's master: records, dispatch, runner."""
