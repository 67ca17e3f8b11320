"""Object stores as nodes use them."""
