"""How fast texts become numbers on one core, and what averaging costs: `.venv/bin/python bench/text.py`.

The texts are Debian's package index as this computer's apt brings it, or lines `label<TAB>text` of `--file`.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

JOB = Path(__file__).parent.parent / "jobs" / "text_classification"
ROUNDS = 5
PARTS = (1, 2, 4, 16)


def rates(found: list[tuple[str, str]]) -> None:
    """Print the MB/s of a hashing vectorizer and of tf-idf, which has to learn its words first."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = importlib.import_module("texts")
    lines = [text for _, text in found]
    size = sum(len(text.encode()) for text in lines) / 1e6
    for name, vectorizer in (("hashing", texts.vectorizer(bits=16, words=1)), ("tf-idf", TfidfVectorizer())):
        begin = time.process_time()
        vectorizer.fit_transform(lines)
        print(f"{name:8} {size / (time.process_time() - begin):6.1f} MB/s of {size:.1f} MB on one core")


def averaging(found: list[tuple[str, str]]) -> None:
    """Print the accuracy on held-out texts of models that were averaged after each round."""
    texts: Any = importlib.import_module("texts")
    classes = sorted({label for label, _ in found})
    found = [found[place] for place in np.random.default_rng(1).permutation(len(found))]
    train, test = (
        list(
            texts.blocks(
                (pair for pair in found if texts.held_out(pair[1]) is held), classes, bits=16, words=1
            )
        )
        for held in (False, True)
    )
    rows = sum(len(block.labels) for block in test)
    for parts in PARTS:
        model = texts.untrained(classes=len(classes), columns=2**16, penalty=1e-6, seed=1)
        begin = time.process_time()
        for _ in range(ROUNDS):
            model = texts.averaged([texts.learned(model, train[part::parts]) for part in range(parts)])
        seconds = (time.process_time() - begin) / parts
        right = sum(int((model.predict(block.rows) == block.labels).sum()) for block in test)
        print(f"{parts:3} models averaged {ROUNDS} times: {right / rows:.2%} right, {seconds:.1f} s a core")


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--file", type=Path, help="lines `label<TAB>text` instead of the package index")
    asked = parser.parse_args()
    sys.path.insert(0, str(JOB))
    lines = asked.file.read_text().splitlines() if asked.file else importlib.import_module("packages").fetch()
    found = list(importlib.import_module("texts").pairs(lines))
    rates(found)
    averaging(found)


if __name__ == "__main__":
    main()
