"""What MLflow on the master is told of runs, and how its history outlives the machines."""
