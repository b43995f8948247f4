"""From labels and probabilities to rates, confidence intervals and a confusion table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import confusion_matrix, log_loss

from data_prep.errors import PathsearchError
from pathsearch.measures import confusions
from pathsearch.measures.clusters import Floats, Ints, clusters
from pathsearch.measures.intervals import GroupDraws, Interval, auc_by_image, method, recall_by_image, wilson
from pathsearch.measures.rates import ClassRates, RateIntervals

UNKNOWN = -1  # a prediction that is no class: not answered, counted as wrong


def evaluate(
    labels: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[str],
    predictions: ArrayLike | None = None,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> dict[str, Any]:
    """Every rate of one set of answers with its 95 % interval, ready for JSON (no NaN, no numpy types).

    Args:
        labels: int[n], the true class indices.
        probabilities: float[n, K], rows of answered images sum to 1. Rows of unanswered images may hold
            anything finite.
        classes: K different names, K at least 2.
        predictions: int[n], class indices, or -1 for "unknown"; by default the most probable class.
        seed: of the bootstrap.
        groups: [n] names of what images come from, such as patients, "" where unknown; None: images are independent.

    Returns:
        `n`, `classes`, and:

        - `accuracy`; `recall_per_class` (None for a class without images); `recall`, its mean over the
          classes with images; `balanced_accuracy`, the same number under scikit-learn's name. An unknown
          counts as wrong.
        - `auc`: of class 1 for K = 2, else the mean of one class against the rest. Over answered images;
          None where fewer than two classes are among them.
        - `log_likelihood`: mean nats per answered image; a zero counts as the smallest float64 step, 2e-16.
        - `confusion`: counts, rows `classes` = truth, columns `columns` = prediction; the last column is
          "unknown" where there is any. Of more than 100 classes it is empty, and `cells` has the filled ones.
        - `ci95`: [low, high] for each rate; where some group has several images, all by a bootstrap over groups;
          else Wilson for `accuracy` and `recall_per_class`, percentiles of a bootstrap stratified by class for
          `recall`, `balanced_accuracy` and `auc`. The latter has no width where nothing is wrong: Wilson's
          intervals are the ones to quote there.
        - `intervals`: their `method`, and the number of `groups` (None: by image).

        Without images `n` is 0 and every rate and interval is None.

    Raises:
        PathsearchError: shapes, labels, predictions or probabilities that do not fit.
    """
    y, p, answers = _checked(labels, probabilities, classes, predictions)
    order = np.lexsort((answers, *p.T, y))  # the result, bootstrap included, depends on no order of images
    y, p, answers = y[order], p[order], answers[order]
    numbers = clusters(None if groups is None else np.asarray(groups)[order], len(y))
    n, k = p.shape

    told = answers != UNKNOWN
    table: Ints = np.zeros((k, k), np.int64)
    if told.any():
        table = confusion_matrix(y[told], answers[told], labels=range(k))
    totals, hits = np.bincount(y, minlength=k), np.diag(table)
    present = totals > 0
    recalls = {name: int(h) / int(t) if t else None for name, h, t in zip(classes, hits, totals, strict=True)}
    recall = float(np.mean(hits[present] / totals[present])) if n else None
    auc, ci95 = _intervals(y, p, answers, numbers, classes, seed)
    unknown = np.bincount(y[~told], minlength=k)
    rates: ClassRates = {
        "n": n,
        "accuracy": int(hits.sum()) / n if n else None,
        "balanced_accuracy": recall,
        "recall": recall,
        "recall_per_class": recalls,
        "auc": auc,
        "log_likelihood": 0.0 - float(log_loss(y[told], p[told], labels=range(k))) if told.any() else None,
        **confusions.fields(table if told.all() else np.column_stack([table, unknown])),
        "classes": list(classes),
        "columns": [*classes] if told.all() else [*classes, "unknown"],
        "ci95": ci95,
        "intervals": method(numbers),
    }
    return dict(rates)


def _intervals(
    y: Ints, p: Floats, answers: Ints, numbers: Ints | None, classes: Sequence[str], seed: int
) -> tuple[float | None, RateIntervals]:
    """The AUC, and the interval of every rate; `y` int64[n] sorted."""
    n, k = p.shape
    right, told = answers == y, answers != UNKNOWN
    if not n:
        return None, _told(None, None, None, dict.fromkeys(classes))
    if numbers is not None:
        draws = GroupDraws(y, right, k, numbers, seed)
        accuracy, recalls = draws.accuracy(), draws.recalls()
        recall: Interval | None = draws.recall()
        auc, auc_ci = draws.auc(y[told], p[told], numbers[told])
    else:
        totals, hits = np.bincount(y, minlength=k), np.bincount(y[right], minlength=k)
        accuracy, present = list(wilson(int(right.sum()), n)), totals > 0
        recalls = [list(wilson(int(h), int(t))) if t else None for h, t in zip(hits, totals, strict=True)]
        recall = recall_by_image(hits[present], totals[present], seed)
        auc, auc_ci = auc_by_image(y[told], p[told], seed)
    return auc, _told(accuracy, recall, auc_ci, dict(zip(classes, recalls, strict=True)))


def _told(
    accuracy: Interval | None, recall: Interval | None, auc: Interval | None, recalls: dict[str, Interval | None]
) -> RateIntervals:
    return {
        "accuracy": accuracy,
        "balanced_accuracy": recall,
        "recall": recall,
        "auc": auc,
        "recall_per_class": recalls,
    }


def _checked(
    labels: ArrayLike, probabilities: ArrayLike, classes: Sequence[str], predictions: ArrayLike | None
) -> tuple[Ints, Floats, Ints]:
    """Labels int64[n], probabilities float64[n, K], answered rows scaled to sum 1, predictions int64[n]."""
    k = len(classes)
    if k < 2 or len(set(classes)) < k:
        raise PathsearchError(
            f"classes: expected at least 2 different names, got {list(classes)}; see the task's task.json"
        )
    p = np.array(probabilities, np.float64)
    if p.ndim != 2 or p.shape[1] != k:
        raise PathsearchError(
            f"probabilities: expected shape [n, {k}], one column a class, got {list(p.shape)}; "
            "do they come from another task's head?"
        )
    y = _indices("labels", labels, len(p), 0, k)
    if not np.isfinite(p).all():
        row = int(np.flatnonzero(~np.isfinite(p).all(axis=1))[0])
        raise PathsearchError(
            f"probabilities: expected finite numbers, got {p[row].tolist()} in row {row}; "
            "look for a loss that became NaN in log.csv"
        )
    answers = p.argmax(axis=1) if predictions is None else _indices("predictions", predictions, len(p), UNKNOWN, k)
    told = answers != UNKNOWN
    sums = p.sum(axis=1)
    wrong = told & ((p.min(axis=1) < 0) | (np.abs(sums - 1) > 0.01))  # 0.01: float16 rounding of many classes
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise PathsearchError(
            f"probabilities: expected rows of numbers >= 0 with sum 1, got {p[row].tolist()} in row {row}; "
            "apply softmax to logits first"
        )
    p[told] /= sums[told, None]
    return y, p, answers


def _indices(name: str, values: ArrayLike, n: int, low: int, k: int) -> Ints:
    """`values` as int64[n], each in `low` to `k` - 1."""
    array = np.asarray(values)
    if array.shape != (n,):
        raise PathsearchError(
            f"{name}: expected shape [{n}], one for each row of probabilities, got {list(array.shape)}; "
            "were both made from the same images?"
        )
    if n == 0:
        return np.zeros(0, np.int64)
    if not np.issubdtype(array.dtype, np.integer):
        raise PathsearchError(f"{name}: expected integers, got {array.dtype}; pass class indices")
    if array.min() < low or array.max() >= k:
        wrong = array[(array < low) | (array >= k)][0]
        raise PathsearchError(
            f"{name}: expected class indices {low} to {k - 1}, got {wrong}; do they belong to these classes?"
        )
    return array.astype(np.int64)
