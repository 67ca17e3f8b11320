"""The commands of `./muster`. Each module only parses and prints; other modules do things."""
