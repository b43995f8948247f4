"""How well each variant's scores rank the sample, over seeds and beside the default: the numbers of bench_fidelity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from pathsearch.measures.statistics import holm, over_seeds, rank_agreement, spread

DEFAULT = "default"
HALVES = ("random", "visited", "both")
# What scores are compared with, by its name in the JSON: a part, its list, and what of each path: 0 for the measure
# (an early tie goes to the likelihood), 1 for the likelihoods of both sides.
TRUTHS = {
    "tau": ("training 1", "scores", 0),
    "tau_likelihood": ("training 1", "scores", 1),
    "tau_unseen": ("training 1", "unseen", 0),
    "tau_unseen_likelihood": ("training 1", "unseen", 1),
    "tau_second": ("training 2", "scores", 0),
}


def agreement(parts: Mapping[str, dict[str, Any]], name: str, truth: str) -> dict[str, float | None]:
    """Kendall's tau of one part's scores against a truth, by half of the sample."""
    part, key, what = TRUTHS[truth]
    middle = len(parts[DEFAULT]["sample"]["random"])
    early, late = [own[what:] for own in parts[name]["scores"]], [own[what] for own in parts[part][key]]
    ranges = dict(zip(HALVES, (slice(middle), slice(middle, None), slice(None)), strict=True))
    return {half: rank_agreement(early[of], late[of])["tau"] for half, of in ranges.items()}


def row(each: Sequence[Mapping[str, dict[str, Any]]], name: str) -> dict[str, Any]:
    """One variant's taus over seeds, against every truth that there is, and its seconds."""
    found: dict[str, Any] = {"seconds": spread([parts[name]["seconds"] for parts in each])}
    for truth, (part, key, _) in TRUTHS.items():
        if key in each[0][part]:
            taus = [agreement(parts, name, truth) for parts in each]
            found[truth] = {half: spread([one[half] for one in taus]) for half in HALVES}
    return found


def compare_with_default(rows: dict[str, dict[str, Any]], names: Sequence[str]) -> None:
    """Add to each variant's row its differences to the default, by truth and half, Holm's correction over variants."""
    for key in TRUTHS.keys() & rows[DEFAULT].keys():
        for half in HALVES:
            gaps = {name: against(rows[name][key][half], rows[DEFAULT][key][half]) for name in names}
            tested = [name for name in names if gaps[name]["p"] is not None]
            adjusted = dict(zip(tested, holm([gaps[name]["p"] for name in tested]), strict=True))
            for name in names:
                to = rows[name].setdefault("against", {}).setdefault(key, {})
                to[half] = {**gaps[name], "p_holm": adjusted.get(name)}


def against(own: dict[str, Any], default: dict[str, Any]) -> dict[str, Any]:
    """A variant's taus less the default's over the seeds in which both are known."""
    known = [pair for pair in zip(own["each"], default["each"], strict=True) if None not in pair]
    if not known:
        return {"seeds": 0, "difference": None, "sd": None, "ci95": None, "p": None, "wilcoxon_p": None}
    return over_seeds(*zip(*known, strict=True))


def show(report: dict[str, Any]) -> None:
    """Print the table."""

    def words(one: dict[str, Any]) -> str:
        mean, sd = one["mean"], one["sd"]
        return "–" if mean is None else f"{mean:.3f}" if sd is None else f"{mean:.3f} ± {sd:.3f}"

    n, size = report["n"], len(next(iter(report["parts"].values()))[DEFAULT]["scores"])
    title = f"Kendall's tau, {report['task']} ({report['split']}), {report['encoder']['name']}"
    about = f"{len(report['seeds'])} seeds, {size} paths, {n['train']:,} training, {n['val']:,} validation images"
    if n["unseen"]:
        about += f", {n['unseen']:,} unseen"
    for key in TRUTHS:
        if key not in report["ceiling"] or key == "tau_second":
            continue
        table = Table(title=f"{title}, {about}; {key}; p (Holm's over variants)")
        differences = [f"{half}: Δ, p" for half in HALVES]
        for heading in ("variant", *HALVES, *differences, "minibatches", "s a seed"):
            table.add_column(heading, justify="right")
        for name, one in {**report["variants"], "ceiling": report["ceiling"]}.items():
            taus = [words(one[key][half]) for half in HALVES]
            gaps = list(one["against"][key].values()) if "against" in one else [{"difference": None}] * 3
            told = ["" if g["difference"] is None else f"{g['difference']:+.3f}, {p_words(g)}" for g in gaps]
            table.add_row(name, *taus, *told, str(one.get("minibatches", "")), f"{one['seconds']['mean']:.1f}")
        Console(width=max(150, Console().width)).print(table)


def p_words(gap: dict[str, Any]) -> str:
    return "–" if gap["p"] is None else f"{gap['p']:.3f} ({gap['p_holm']:.3f})"
