"""The commands of `./muster`. Each module only parses and prints; what is done lies in the package's other modules."""
