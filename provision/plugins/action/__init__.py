"""Ansible plugins of the kind `action`."""
