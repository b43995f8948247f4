"""The mixed stream: images of all tasks without their labels, each routed and answered, and sorted back by task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pathsearch.encoders.split import Split
from pathsearch.experts.expert import Expert
from pathsearch.experts.router import Router
from pathsearch.measures.metrics import UNKNOWN
from pathsearch.run.teller import Teller
from pathsearch.targets.target import DEFAULT, Said
from pathsearch.training.fitness import joined

CHUNK = 512  # images of the mixed stream that are answered together


class Stray(NamedTuple):
    """Images of one task that were sent to another: their positions, and the other expert's (m, K) probabilities."""

    positions: np.ndarray
    expert: str
    probabilities: np.ndarray


@dataclass(frozen=True)
class Answers:
    """What the model says to the mixed stream, sorted back by task; nothing has a column for every class of all tasks.

    Tasks of classes, and classes, are here those of tasks that ask for nothing else.

    Attributes:
        routed: for each task, (n,) index of the task that each of its test images was sent to, or -1.
        oracle: for each task of classes, (n, its own classes) probabilities of its own expert for all its images.
        strays: for each task of classes, its images that were sent to another one of classes.
        predictions: for each task of classes, (n,) index into all classes of all tasks, or -1 for none: unknown, or
            sent to a task of another target.
        sure: for each task of classes, (n,) probability of what was said; 0 for none.
        first: for each task of classes, the index of its first class among all classes of all tasks.
        said: for each other task, what its own expert said to all its images.
    """

    routed: dict[str, np.ndarray]
    oracle: dict[str, np.ndarray]
    strays: dict[str, list[Stray]]
    predictions: dict[str, np.ndarray]
    sure: dict[str, np.ndarray]
    first: dict[str, int]
    said: dict[str, Said]

    def probabilities(self, n_classes: int) -> np.ndarray:
        """(all images, all classes of all tasks) of the expert that answered, task by task; zero for no class."""
        whole = np.zeros((sum(map(len, self.oracle.values())), n_classes))
        start = 0
        for number, (task, routed) in enumerate(self.routed.items()):
            if task not in self.oracle:
                continue
            at_home = np.flatnonzero(routed == number)
            _put(whole, start + at_home, self.first[task], self.oracle[task][at_home])
            for stray in self.strays[task]:
                _put(whole, start + stray.positions, self.first[stray.expert], stray.probabilities)
            start += len(routed)
        return whole


def _put(whole: np.ndarray, rows: np.ndarray, first: int, values: np.ndarray) -> None:
    whole[rows, first : first + values.shape[1]] = values


def answer(
    tests: dict[str, Split],
    experts: dict[str, Expert],
    router: Router,
    seed: int,
    tell: Teller,
) -> Answers:
    """Mix the images of all tasks, route and answer them, and sort the answers back."""
    names = list(tests)
    n_classes = {n: len(experts[n].facts.classes) for n in names if of_classes(experts[n])}
    first = dict(zip(n_classes, np.cumsum([0, *n_classes.values()]).tolist(), strict=False))
    sizes = {n: len(tests[n]) for n in names}
    answers = Answers(
        routed={n: np.full(sizes[n], UNKNOWN) for n in names},
        oracle={n: np.zeros((sizes[n], k)) for n, k in n_classes.items()},
        strays={n: [] for n in n_classes},
        predictions={n: np.full(sizes[n], UNKNOWN) for n in n_classes},
        sure={n: np.zeros(sizes[n]) for n in n_classes},
        first=first,
        said={},
    )
    parts: dict[str, list[tuple[np.ndarray, Said]]] = {n: [] for n in names if n not in n_classes}

    # 1. one stream of (task, position), in random order
    stream = torch.tensor([(t, i) for t, n in enumerate(names) for i in range(sizes[n])])
    stream = stream[torch.randperm(len(stream), generator=torch.Generator().manual_seed(seed))]
    tell.stage("answer", len(stream))
    done, like = 0, tests[names[0]].raw(torch.arange(1))
    noisy = any(test.noise is not None for test in tests.values())  # which makes floating point of pixels
    kind = torch.float32 if noisy else like.dtype
    for chunk in stream.split(CHUNK):
        maps = torch.empty(len(chunk), *like.shape[1:], dtype=kind)
        for t, n in enumerate(names):
            maps[chunk[:, 0] == t] = tests[n].raw(chunk[chunk[:, 0] == t, 1]).to(kind)
        # 2. the router sees features only
        sent, _ = router.route(tests[names[0]].sees(maps, tests[names[0]].places))
        owner, positions = chunk.numpy().T
        for t, n in enumerate(names):
            own = owner == t
            where = positions[own]
            answers.routed[n][where] = sent[own]
            if n in parts:
                if own.any():  # by its own expert; what reaches whom is read off `routed`
                    parts[n].append((where, _said(experts[n], maps[torch.from_numpy(own)], tests[n], where)))
                continue
            # 3. each image by its own task's expert: the oracle, and the answer if it was sent there
            if own.any():
                answers.oracle[n][where] = rows = experts[n].probabilities(maps[torch.from_numpy(own)])
                home = sent[own] == t
                _say(answers, n, where[home], n, rows[home], experts[n])
            # 4. and by another's only if it was sent to that
            for k, other in enumerate(names):
                astray = own & (sent == k)
                if k != t and other in n_classes and astray.any():
                    rows = experts[other].probabilities(maps[torch.from_numpy(astray)])
                    answers.strays[n].append(Stray(positions[astray], other, rows))
                    _say(answers, n, positions[astray], other, rows, experts[other])
        done += len(chunk)
        tell.advance(done)
    for n, several in parts.items():
        order = np.argsort(np.concatenate([where for where, _ in several]))
        answers.said[n] = {name: rows[order] for name, rows in joined([said for _, said in several]).items()}
    return answers


def of_classes(expert: Expert) -> bool:
    """Whether a task asks for one of its classes."""
    return expert.facts.target == DEFAULT


def _said(expert: Expert, maps: Tensor, test: Split, where: np.ndarray) -> Said:
    """What an expert says in full to images, a few at a time."""
    truth, size = test.truth[torch.from_numpy(where)], expert.at_once
    return joined([expert.said(x, y, in_full=True) for x, y in zip(maps.split(size), truth.split(size), strict=True)])


def _say(answers: Answers, task: str, where: np.ndarray, other: str, rows: np.ndarray, expert: Expert) -> None:
    """Images `where` of a task get the answers of the expert of `other`."""
    said = expert.classify(rows)
    answers.predictions[task][where] = said + answers.first[other]
    answers.sure[task][where] = rows[np.arange(len(rows)), said]
