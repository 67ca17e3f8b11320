"""Pure rules: what is to be made, whether it fits, how long it lives, how memory is shared out."""
