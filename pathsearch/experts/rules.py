"""Answers by rule: small expressions over what several experts say to one image, parsed and never run as code.

    usable = quality is good and not (flow is TR or probability of flow < 0.8)

A rule is a name, `=`, and comparisons joined by `and`, `or`, `not` and parentheses. `TASK is CLASS` and `TASK is not
CLASS` ask for a class; `COLUMN < 0.8`, `<=`, `>` and `>=` for a number of the rows of answers, `COLUMN of TASK` where
several tasks have the column. A name with spaces, parentheses or the like, or one that is a word of rules, is quoted.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import NamedTuple, Protocol

from data_prep.errors import PathsearchError
from data_prep.table_words import by_folder
from pathsearch.experts.answer import Answer
from pathsearch.experts.answer_columns import number_columns, reserved_columns
from pathsearch.experts.expert import Expert

LONGEST, LONGEST_NAME = 1000, 60  # characters
DEEPEST = 30  # parentheses and `not` within each other
SIGNS = {"<": lt, "<=": le, ">": gt, ">=": ge}
EXAMPLE = 'write it as in "usable = quality is good and lung_share > 0.2"'
WORDS = ("is", "of", "not", "and", "or")
TOKEN = re.compile(r""" *(?:"([^"]*)"|'([^']*)'|([<>]=?|[()=])|([^\s()<>=!"']+))""")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

Truth = bool | None  # None: not known, since an expert did not answer
Facts = Mapping[str, Answer]  # the answers to one image, by task


class Test(Protocol):
    """A part of a rule."""

    def truth(self, facts: Facts) -> Truth:
        """What it is for these answers."""


@dataclass(frozen=True)
class Is:
    """Whether a task's answer is a class."""

    task: str
    label: str

    def truth(self, facts: Facts) -> Truth:
        """Not known where nobody said a class."""
        said = facts[self.task].label if self.task in facts else None
        return None if said is None else said == self.label


@dataclass(frozen=True)
class Compared:
    """How a number of a task's answer stands to another."""

    task: str
    column: str
    sign: str
    number: float

    def truth(self, facts: Facts) -> Truth:
        """Not known where the answer has no such number."""
        said = facts[self.task].numbers().get(self.column) if self.task in facts else None
        return None if said is None else SIGNS[self.sign](said, self.number)


@dataclass(frozen=True)
class Not:
    """The contrary."""

    part: Test

    def truth(self, facts: Facts) -> Truth:
        """Of what is not known nothing is known."""
        said = self.part.truth(facts)
        return None if said is None else not said


@dataclass(frozen=True)
class Joined:
    """Several parts joined by `and`, of which one false one decides, or by `or`, of which one true one does."""

    parts: tuple[Test, ...]
    decides: bool

    def truth(self, facts: Facts) -> Truth:
        """By Kleene's logic: what nothing decides is not known unless all parts are."""
        said = {part.truth(facts) for part in self.parts}
        return self.decides if self.decides in said else None if None in said else not self.decides


@dataclass(frozen=True)
class Rule:
    """A rule that was checked: its name, as it was written, and what it asks."""

    name: str
    text: str
    test: Test


def read_rules(texts: Iterable[str], experts: Mapping[str, Expert]) -> tuple[Rule, ...]:
    """Parse rules over the answers of experts.

    Args:
        texts: NAME = EXPRESSION each.
        experts: by name.

    Raises:
        PathsearchError: a text is no rule, or asks for what no expert answers; names the nearest that there is.
    """
    known = Known.of(experts)
    rules: dict[str, Rule] = {}
    for text in texts:
        rule = Reader(text, known).rule()
        if rule.name in rules or rule.name in known.reserved:
            what = "another rule" if rule.name in rules else "a column of answers"
            raise PathsearchError(f"--rule {rule.name}: expected a name of its own, got that of {what}; rename it")
        rules[rule.name] = rule
    return tuple(rules.values())


def derived(rules: Sequence[Rule], answers: Sequence[Answer]) -> dict[str, bool | None]:
    """What rules say of one image, by their names, from the answers of one or several tasks to it."""
    facts = {answer.task: answer for answer in answers if answer.task is not None}
    return {rule.name: rule.test.truth(facts) for rule in rules}


@dataclass(frozen=True)
class Known:
    """What rules may ask for: tasks, and those of classes, with their folders; by folder classes and columns."""

    folders: Mapping[str, str]
    classed: Mapping[str, str]
    classes: Mapping[str, Sequence[str]]
    columns: Mapping[str, Sequence[str]]
    reserved: set[str]

    @classmethod
    def of(cls, experts: Mapping[str, Expert]) -> Known:
        """Of a model's experts."""
        together = by_folder(experts)
        targets = {folder: [experts[name].target for name in names] for folder, names in together.items()}
        classes = {folder: one.names for folder, own in targets.items() for one in own if one.gives == "class"}
        others = {name for name, one in experts.items() if one.target.gives != "class"} - set(classes)
        folders = {name: folder for folder, names in together.items() for name in (folder, *names)}
        return cls(
            folders,
            {name: folder for name, folder in folders.items() if folder in classes and name not in others},
            classes,
            {folder: number_columns(own) for folder, own in targets.items()},
            reserved_columns([one for own in targets.values() for one in own]),
        )


def written(name: str) -> str:
    """A name as a rule has to have it: quoted if it is more than a word, or a word of rules."""
    found = TOKEN.fullmatch(name)
    if found is not None and found[4] and not name.startswith(" ") and name not in WORDS:
        return name
    return f"'{name}'" if '"' in name else f'"{name}"'


class Token(NamedTuple):
    """A word, a sign or a quoted name; only words can be words of rules."""

    text: str
    quoted: bool
    sign: bool


END = Token("the end", quoted=False, sign=True)


class Reader:
    """Reads one rule from left to right, a method a line of the grammar."""

    def __init__(self, text: str, known: Known) -> None:
        self.text, self.known = text, known
        self.called = "--rule"
        self.depth = 0
        if not text.isprintable() or len(text) > LONGEST:
            raise self.wrong(f"at most {LONGEST} printable characters in one line", f"{len(text)}: {text!r:.60}")
        self.tokens = [*self.cut(), END]

    def cut(self) -> list[Token]:
        """The text in tokens."""
        found, at, text = [], 0, self.text.strip(" ")
        while at < len(text):
            if (one := TOKEN.match(text, at)) is None:
                raise self.wrong("names, numbers, <, <=, >, >= and parentheses", repr(text[at:])[:60])
            double, single, sign, word = one.groups()
            quoted = double if double is not None else single
            found.append(Token(quoted if quoted is not None else sign or word, quoted is not None, bool(sign)))
            at = one.end()
        return found

    def rule(self) -> Rule:
        """NAME = EXPRESSION."""
        name = self.name("NAME = EXPRESSION")
        if not name.strip() or len(name) > LONGEST_NAME:
            raise self.wrong(f"a name of 1 to {LONGEST_NAME} characters before =", repr(name)[:60])
        self.called = f"--rule {name}"
        if not self.takes("="):
            raise self.wrong("NAME = EXPRESSION", self.next, "quote a name with spaces")
        test = self.either()
        if self.next != END:
            raise self.wrong("and, or, or the end", self.next)
        return Rule(name, self.text.strip(" "), test)

    def either(self) -> Test:
        """BOTH, or several joined by `or`."""
        parts = [self.both()]
        while self.takes("or"):
            parts.append(self.both())
        return Joined(tuple(parts), decides=True) if len(parts) > 1 else parts[0]

    def both(self) -> Test:
        """PART, or several joined by `and`."""
        parts = [self.part()]
        while self.takes("and"):
            parts.append(self.part())
        return Joined(tuple(parts), decides=False) if len(parts) > 1 else parts[0]

    def part(self) -> Test:
        """`not` PART, EITHER in parentheses, or a comparison."""
        if (negated := self.takes("not")) or self.takes("("):
            self.depth += 1
            if self.depth > DEEPEST:
                raise self.wrong(f"at most {DEEPEST} parentheses and `not` within each other", "more")
            inside = Not(self.part()) if negated else self.either()
            self.depth -= 1
            if not negated and not self.takes(")"):
                raise self.wrong("and, or, or )", self.next)
            return inside
        return self.comparison()

    def comparison(self) -> Test:
        """TASK is CLASS, TASK is not CLASS, or COLUMN of TASK < NUMBER; `of TASK` only where several tasks have it."""
        name = self.name("a task, a column, not or (")
        if self.takes("is"):
            negated = self.takes("not")
            task = self.one_of(name, "a task that answers with classes", self.known.classed)
            label = self.name("a class")
            asked = Is(task, self.one_of(label, f"a class of {name}", {one: one for one in self.known.classes[task]}))
            return Not(asked) if negated else asked
        task = self.owner(name)
        sign = self.next.text
        if self.next.quoted or not self.takes(*SIGNS):
            raise self.wrong(f"is, of, <, <=, > or >= after {name}", self.next)
        if self.next.quoted or not NUMBER.fullmatch(self.next.text):
            raise self.wrong("a number such as 0.2", self.next)
        return Compared(task, name, sign, float(self.tokens.pop(0).text))

    def owner(self, column: str) -> str:
        """The folder of the task whose column is meant."""
        columns = self.known.columns
        if self.takes("of"):
            task = self.one_of(name := self.name("a task"), "a task", self.known.folders)
            self.one_of(column, f"a column of numbers of {name}", {one: one for one in columns[task]})
            return task
        having = [task for task, own in columns.items() if column in own]
        if not having:
            every = {one: one for own in columns.values() for one in own}
            self.one_of(column, "a task before `is`, or a column of numbers", {**every, **self.known.classed})
            raise self.wrong(f"{column} is CLASS", self.next)
        if len(having) > 1:
            raise self.wrong(f"{column} of one of {', '.join(having)}", f"{column} alone")
        return having[0]

    # --- tokens -----------------------------------------------------------------------------------------------------

    @property
    def next(self) -> Token:
        """The token that comes next."""
        return self.tokens[0]

    def takes(self, *words: str) -> bool:
        """Go on if one of these words or signs comes next, and say whether it does."""
        here = self.next.text in words and not self.next.quoted
        if here:
            self.tokens.pop(0)
        return here

    def name(self, what: str) -> str:
        """Go on after a name."""
        if self.next.sign or (self.next.text in WORDS and not self.next.quoted):
            raise self.wrong(what, self.next)
        return self.tokens.pop(0).text

    def one_of(self, name: str, what: str, names: Mapping[str, str]) -> str:
        """What a name stands for; the nearest is proposed for one that is none of them."""
        if name in names:
            return names[name]
        cut = [one for one in names if one.startswith(f"{name} ")]  # a name with spaces that was not quoted
        near = cut or difflib.get_close_matches(name, names, n=1)
        there = ", ".join(map(written, names)) or "none"
        raise self.wrong(what, repr(name)[:60], f"did you mean {written(near[0])}?" if near else f"there are: {there}")

    def wrong(self, expected: str, got: Token | str, hint: str = EXAMPLE) -> PathsearchError:
        """The one line about what is no rule."""
        told = got if isinstance(got, str) else got.text if got == END else repr(got.text)[:60]
        return PathsearchError(f"{self.called}: expected {expected}, got {told}; {hint}")
