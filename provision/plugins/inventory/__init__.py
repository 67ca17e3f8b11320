"""Ansible plugins of the kind `inventory`."""
