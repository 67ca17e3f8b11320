"""Names of what a model is given of pictures; apart from variants.py, as who submits has no NumPy."""

NORMAL, RAW, VARYING, SCALED = "normal", "raw", "varying", "scaled"
