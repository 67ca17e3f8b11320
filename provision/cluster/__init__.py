"""One cluster: made as wished, changed, stopped, ended, adopted."""
