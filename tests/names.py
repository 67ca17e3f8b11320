"""What the names of the tests' clusters and stores on this computer begin with, and of nobody else's."""

MARK = "pytest-"
