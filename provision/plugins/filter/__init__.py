"""Ansible plugins of the kind `filter`."""
