"""Ansible plugins of the kind `modules`."""
