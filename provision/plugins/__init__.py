"""What Ansible loads of Muster: the only package that imports Ansible."""
