"""jobs/common/estimators.py: what needs no cluster."""

from __future__ import annotations

import json

import estimators
import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier


def test_a_model_is_saved_with_the_version_that_loads_it(tmp_path):
    estimators.save(DecisionTreeClassifier().fit(np.eye(3), [0, 1, 2]), tmp_path / "estimator")
    estimators.require_same_version(tmp_path / "estimator")
    about = json.loads((tmp_path / "estimator" / estimators.ABOUT).read_text())
    assert about["model"] == "DecisionTreeClassifier"


@pytest.mark.parametrize("about", [None, "", "[]", "{}", '{"scikit-learn": "0.1"}'])
def test_a_model_of_another_version_is_refused_in_a_line(tmp_path, about: str | None):
    if about is not None:
        (tmp_path / estimators.ABOUT).write_text(about)
    with pytest.raises(estimators.BadModel, match=r"train it again|does not say") as refusal:
        estimators.require_same_version(tmp_path)
    assert "\n" not in str(refusal.value)
