"""All clusters at once: what there is everywhere, what it cost, what has outlived its time."""
