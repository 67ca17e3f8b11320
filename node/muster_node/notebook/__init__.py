"""JupyterLab on the master: certificate, token, users' files, what kernels begin with."""
