"""The ground: types, errors, files, words. Imports nothing else of ours."""
