"""Jobs, from a program on this computer to the queue on the master and back."""
