"""k-nearest neighbours on pooled features: what the encoder alone knows of the classes, without a weight trained."""

from __future__ import annotations

import numpy as np


def shares(known: np.ndarray, labels: np.ndarray, asked: np.ndarray, k: int) -> np.ndarray:
    """(m, K) shares of the classes among the k nearest, one more image of each class counted, so that none is zero.

    Args:
        known: (n, C) features of images whose classes are known.
        labels: (n,) their classes.
        asked: (m, C) features of others.
        k: neighbours.
    """
    from sklearn.neighbors import KNeighborsClassifier  # slow imports, of comparisons alone
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), KNeighborsClassifier(k))
    model.fit(known, labels)
    if not len(asked):
        return np.zeros((0, len(model.classes_)))
    found = model.predict_proba(asked)
    return np.asarray((k * found + 1) / (k + found.shape[1]))
