"""Many runs of one job, to compare: over shapes of a cluster, layouts of Spark and sizes of pictures."""
