"""The root half of the provider `local`: standard library only, one JSON request in, one JSON answer out.

It runs as `sudo -n /usr/local/libexec/muster-local VERB` (a zip archive of this package) or, when the caller
is root already, straight from here. Whatever it is told is validated first; nothing passes through a shell.
"""
