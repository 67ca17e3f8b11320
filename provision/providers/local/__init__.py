"""The provider `local`: full Debian machines on this computer, as systemd-nspawn containers."""
