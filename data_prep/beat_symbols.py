"""Which annotation symbols make which class of heart beats."""

from __future__ import annotations

from collections import Counter

from data_prep.errors import BadData, PathsearchError

# ANSI/AAMI EC57: class of each beat symbol. Q (paced, unclassifiable) is dropped, as is usual since 2004.
AAMI: dict[str, tuple[str, ...]] = {
    "N": ("N", "L", "R", "e", "j"),
    "S": ("A", "a", "J", "S"),
    "V": ("V", "E"),
    "F": ("F",),
}
# Marks that stand on a heart beat of any kind, PhysioNet's codes; the others mark rhythm, noise or waves.
BEAT_MARKS = tuple("NLRBAaJSVrFejnE/fQ?!")
NAMED_CHOICES: dict[str, dict[str, tuple[str, ...]]] = {
    "aami": AAMI,
    "n-v-a-l-r": {symbol: (symbol,) for symbol in "NVALR"},
}


def symbols_of_classes(classes: str) -> dict[str, tuple[str, ...]]:
    """Symbols of each class, in class order.

    Args:
        classes: symbols with commas between them, each a class of its own, such as `A,L,R`, or a named
            choice: `aami` or `n-v-a-l-r`.

    Raises:
        PathsearchError: fewer than two symbols, or one twice.
    """
    if classes.lower() in NAMED_CHOICES:
        return dict(NAMED_CHOICES[classes.lower()])
    symbols = [symbol.strip() for symbol in classes.split(",")]
    if len(symbols) < 2 or len(set(symbols)) < len(symbols) or "" in symbols:
        raise PathsearchError(
            f"--classes: expected two or more different symbols such as A,L,R, or "
            f"{' or '.join(NAMED_CHOICES)}, got {classes!r}; separate the symbols with commas"
        )
    return {symbol: (symbol,) for symbol in symbols}


def check_present(classes: dict[str, tuple[str, ...]], present: Counter[str]) -> None:
    """Refuse a class whose symbols no record has.

    Args:
        classes: symbols of each class.
        present: how often each symbol occurs in the records that can be used.
    """
    for name, symbols in classes.items():
        if not any(present[symbol] for symbol in symbols):
            there = ", ".join(f"{symbol} ({n})" for symbol, n in present.most_common())
            raise BadData(
                f"--classes: expected annotations {' or '.join(symbols)} for class {name!r}, got none in any "
                f"record; symbols present: {there or 'none'}"
            )
