"""Ansible plugins of the kind `callback`."""
