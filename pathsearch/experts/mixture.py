"""The mixed stream: images of all tasks without their labels, each routed and answered, and sorted back by task.

Tasks of one folder, such as lungs and lungs:class, see the same images: these are in the stream once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from data_prep.table_words import by_folder, folder_of
from pathsearch.encoders.split import Split
from pathsearch.experts.expert import Expert
from pathsearch.experts.router import Router
from pathsearch.measures.metrics import UNKNOWN
from pathsearch.run.teller import Teller
from pathsearch.targets.target import DEFAULT, Said
from pathsearch.training.batches import joined

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
        routed: for each folder, (n,) index of the folder that each of its test images was sent to, or -1.
        oracle: for each task of classes, (n, its own classes) probabilities of its own expert for all its images.
        strays: for each task of classes, its images that were sent to another one of classes.
        predictions: for each task of classes, (n,) index into all classes of all tasks, or -1 for none: unknown, or
            sent to a folder without such a task.
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

    def sent(self, task: str) -> np.ndarray:
        """(n,) index of the folder that each of a task's images was sent to, or -1."""
        return self.routed[folder_of(task)]

    def at_home(self, task: str) -> np.ndarray:
        """(n,) which of a task's images were sent to its own folder, and so to its expert."""
        return self.sent(task) == list(self.routed).index(folder_of(task))

    def probabilities(self, n_classes: int) -> np.ndarray:
        """(all images, all classes of all tasks) of the expert that answered, task by task; zero for no class."""
        whole = np.zeros((sum(map(len, self.oracle.values())), n_classes))
        start = 0
        for task, own in self.oracle.items():
            at_home = np.flatnonzero(self.at_home(task))
            _put(whole, start + at_home, self.first[task], own[at_home])
            for stray in self.strays[task]:
                _put(whole, start + stray.positions, self.first[stray.expert], stray.probabilities)
            start += len(own)
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
    n_classes = {n: len(experts[n].facts.classes) for n in tests if of_classes(experts[n])}
    first = dict(zip(n_classes, np.cumsum([0, *n_classes.values()]).tolist(), strict=False))
    sizes = {n: len(test) for n, test in tests.items()}
    folders = by_folder(tests)
    shown = {folder: tests[names[0]] for folder, names in folders.items()}
    classed = {list(folders).index(folder_of(n)): n for n in n_classes}  # the task of classes of a folder, by number
    answers = Answers(
        routed={folder: np.full(len(test), UNKNOWN) for folder, test in shown.items()},
        oracle={n: np.zeros((sizes[n], k)) for n, k in n_classes.items()},
        strays={n: [] for n in n_classes},
        predictions={n: np.full(sizes[n], UNKNOWN) for n in n_classes},
        sure={n: np.zeros(sizes[n]) for n in n_classes},
        first=first,
        said={},
    )
    parts: dict[str, list[tuple[np.ndarray, Said]]] = {n: [] for n in tests if n not in n_classes}

    # 1. one stream of (folder, position), in random order
    stream = torch.tensor([(f, i) for f, test in enumerate(shown.values()) for i in range(len(test))])
    stream = stream[torch.randperm(len(stream), generator=torch.Generator().manual_seed(seed))]
    tell.stage("answer", len(stream))
    done, one = 0, next(iter(shown.values()))
    like = one.raw(torch.arange(1))
    noisy = any(test.noise is not None for test in tests.values())  # which makes floating point of pixels
    kind = torch.float32 if noisy else like.dtype
    for chunk in stream.split(CHUNK):
        maps = torch.empty(len(chunk), *like.shape[1:], dtype=kind)
        for f, test in enumerate(shown.values()):
            maps[chunk[:, 0] == f] = test.raw(chunk[chunk[:, 0] == f, 1]).to(kind)
        # 2. the router sees features only
        sent, _ = router.route(one.sees(maps, one.places))
        owner, positions = chunk.numpy().T
        for f, (folder, names) in enumerate(folders.items()):
            own = owner == f
            where, to = positions[own], sent[own]
            answers.routed[folder][where] = to
            for n in names if own.any() else ():
                here = maps[torch.from_numpy(own)]
                if tests[n].noise != shown[folder].noise:  # an expert is measured on images as its run has them
                    here = tests[n].raw(torch.from_numpy(where)).to(kind)
                if n in parts:  # by its own expert; what reaches whom is read off `routed`
                    parts[n].append((where, _said(experts[n], here, tests[n], where)))
                    continue
                # 3. each image by its own task's expert: the oracle, and the answer if it was sent there
                answers.oracle[n][where] = rows = experts[n].probabilities(here)
                home = to == f
                _say(answers, n, where[home], n, rows[home], experts[n])
                # 4. and by another's only if it was sent to that
                for k, other in classed.items():
                    astray = to == k
                    if k != f and astray.any():
                        rows = experts[other].probabilities(here[torch.from_numpy(astray)])
                        answers.strays[n].append(Stray(where[astray], other, rows))
                        _say(answers, n, where[astray], other, rows, experts[other])
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
