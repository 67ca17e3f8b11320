"""Amazon EC2: moto's server with what moto lacks, and local nodes as its machines."""
