"""From labels and probabilities to rates, confidence intervals and a confusion table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, log_loss, roc_auc_score

from data_prep.errors import PathsearchError

UNKNOWN = -1  # a prediction that is no class: not answered, counted as wrong
RATE_REPLICATES = 2000
AUC_REPLICATES = 500

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % confidence interval of a rate, as (low, high) in [0, 1].

    Args:
        successes: 0 to `n`.
        n: trials, at least 1.

    Raises:
        PathsearchError: `n` is below 1 or `successes` is not in 0 to `n`.
    """
    if not (n >= 1 and 0 <= successes <= n):
        raise PathsearchError(
            f"wilson: expected 0 <= successes <= n and n >= 1, got successes {successes} and n {n}; "
            "a rate of nothing has no interval, leave it out"
        )
    interval = binomtest(int(successes), int(n)).proportion_ci(confidence_level=0.95, method="wilson")
    return float(interval.low), float(interval.high)


def evaluate(
    labels: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[str],
    predictions: ArrayLike | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Every rate of one set of answers with its 95 % interval, ready for JSON (no NaN, no numpy types).

    Args:
        labels: int[n], the true class indices.
        probabilities: float[n, K], rows of answered images sum to 1. Rows of unanswered images may hold
            anything finite.
        classes: K different names, K at least 2.
        predictions: int[n], class indices, or -1 for "unknown"; by default the most probable class.
        seed: of the bootstrap.

    Returns:
        `n`, `classes`, and:

        - `accuracy`; `recall_per_class` (None for a class without images); `recall`, its mean over the
          classes with images; `balanced_accuracy`, the same number under scikit-learn's name. An unknown
          counts as wrong.
        - `auc`: of class 1 for K = 2, else the mean of one class against the rest. Over answered images;
          None where fewer than two classes are among them.
        - `log_likelihood`: mean nats per answered image; a zero counts as the smallest float64 step, 2e-16.
        - `confusion`: counts, rows `classes` = truth, columns `columns` = prediction; the last column is
          "unknown" where there is any.
        - `ci95`: [low, high] for each rate: Wilson for `accuracy` and `recall_per_class`, percentiles of a
          bootstrap stratified by class for `recall`, `balanced_accuracy` and `auc`. A bootstrap has no
          width where nothing is wrong: Wilson's intervals are the ones to quote there.

        Without images `n` is 0 and every rate and interval is None.

    Raises:
        PathsearchError: shapes, labels, predictions or probabilities that do not fit.
    """
    y, p, answers = _checked(labels, probabilities, classes, predictions)
    order = np.lexsort((answers, *p.T, y))  # the result, bootstrap included, depends on no order of images
    y, p, answers = y[order], p[order], answers[order]
    n, k = p.shape

    told = answers != UNKNOWN
    table: Ints = np.zeros((k, k), np.int64)
    if told.any():
        table = confusion_matrix(y[told], answers[told], labels=range(k))
    totals, hits = np.bincount(y, minlength=k), np.diag(table)
    present = totals > 0
    recalls = {name: int(h) / int(t) if t else None for name, h, t in zip(classes, hits, totals, strict=True)}
    recall = float(np.mean(hits[present] / totals[present])) if n else None
    recall_ci = _recall_interval(hits[present], totals[present], np.random.default_rng([seed, 0]))
    auc, auc_ci = _auc(y[told], p[told], np.random.default_rng([seed, 1]))
    unknown = np.bincount(y[~told], minlength=k)
    return {
        "n": n,
        "accuracy": int(hits.sum()) / n if n else None,
        "balanced_accuracy": recall,
        "recall": recall,
        "recall_per_class": recalls,
        "auc": auc,
        "log_likelihood": 0.0 - float(log_loss(y[told], p[told], labels=range(k))) if told.any() else None,
        "confusion": (table if told.all() else np.column_stack([table, unknown])).tolist(),
        "classes": list(classes),
        "columns": [*classes] if told.all() else [*classes, "unknown"],
        "ci95": {
            "accuracy": list(wilson(hits.sum(), n)) if n else None,
            "balanced_accuracy": recall_ci,
            "recall": recall_ci,
            "auc": auc_ci,
            "recall_per_class": {
                name: list(wilson(h, t)) if t else None for name, h, t in zip(classes, hits, totals, strict=True)
            },
        },
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


def _percentiles(replicates: Floats) -> list[float]:
    """The central 95 % of `replicates` as [low, high]."""
    low, high = np.quantile(replicates, [0.025, 0.975])
    return [float(low), float(high)]


def _recall_interval(hits: Ints, totals: Ints, rng: np.random.Generator) -> list[float] | None:
    """Interval of mean recall, each class drawn again on its own; hits, totals: int[classes with images].

    Drawing the images of a class with replacement makes its hits binomial, so they are drawn as such.
    """
    if not len(totals):
        return None
    draws = rng.binomial(totals, hits / totals, size=(RATE_REPLICATES, len(totals)))
    return _percentiles((draws / totals).mean(axis=1))


def _auc(y: Ints, p: Floats, rng: np.random.Generator) -> tuple[float | None, list[float] | None]:
    """AUC and its interval, the images of each class drawn again; `y` int64[n] sorted, `p` float64[n, K]."""
    present = np.unique(y)
    if len(present) < 2:
        return None, None
    targets = [1] if p.shape[1] == 2 else present.tolist()
    auc = float(np.mean([roc_auc_score(y == target, p[:, target]) for target in targets]))

    starts = np.searchsorted(y, present)
    sizes = np.diff(np.append(starts, len(y)))
    first, size = np.repeat(starts, sizes), np.repeat(sizes, sizes)  # of each image's class
    scores = [_auc_of_draw(p[:, target], y == target) for target in targets]
    replicates = np.empty(AUC_REPLICATES)
    for i in range(AUC_REPLICATES):
        draw = first + rng.integers(size)  # the class of every place stays, so `y` still holds
        replicates[i] = np.mean([score(draw) for score in scores])
    return auc, _percentiles(replicates)


def _auc_of_draw(score: Floats, positive: NDArray[np.bool_]) -> Callable[[Ints], float]:
    """A function: images drawn → AUC in time linear in n, since scores are ranked once, not once a draw."""
    rank = np.unique(score, return_inverse=True)[1]
    n_ranks, pairs = int(rank.max()) + 1, int(positive.sum()) * int((~positive).sum())

    def auc(draw: Ints) -> float:
        ups = np.bincount(rank[draw[positive]], minlength=n_ranks)
        downs = np.bincount(rank[draw[~positive]], minlength=n_ranks)
        return float(ups @ (np.cumsum(downs) - downs / 2)) / pairs  # Mann-Whitney: a tie counts half

    return auc
