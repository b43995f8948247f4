"""The study of how truly a search ranks paths: its sample, its truth, its taus, and going on after a stop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from benches import bench as on
from small_world import data_dir, encoder, refused, settings, task

from pathsearch.encoders.features import Features, encode
from pathsearch.grid.path import Path, Space
from pathsearch.run.streams import derive
from pathsearch.targets.target import Fitness
from pathsearch.training import baselines
from tests.benchmarks import bench_fidelity as bench
from tests.benchmarks.bench_fidelity import Study, draw_sample, kept_apart, variants_of
from tests.benchmarks.fidelity_table import DEFAULT, agreement, compare_with_default, row, show

BASE = settings("blobs", generations=2, steps=3, epochs=2)
VARIANTS = variants_of(BASE, ["fresh:search.weights=fresh", "kept:search.snapshots=2,search.average=0.5"])


@pytest.fixture(scope="module")
def features() -> Features:
    return encode(task("blobs"), encoder(), data_dir() / "features")


@pytest.fixture
def study(features, tmp_path) -> Study:
    return Study(features, encoder(), VARIANTS, (0, 1), 6, tmp_path, unseen=4)


# --- what is asked --------------------------------------------------------------------------------------------------


def test_variants_stand_on_the_settings_of_all():
    assert list(VARIANTS) == [DEFAULT, "fresh", "kept"]
    assert VARIANTS[DEFAULT] == BASE
    assert VARIANTS["kept"] == replace(BASE, search=replace(BASE.search, snapshots=2, average=0.5))


@pytest.mark.parametrize(
    "text", ["name", "default:search.steps=3", "a b:search.steps=3", "x:grid.width=3", ":search.steps=3"]
)
def test_what_is_no_variant_is_refused(text):
    with refused("expected NAME:search.KEY=VALUE"):
        variants_of(BASE, [text])


def test_a_name_twice_or_an_unknown_setting_is_refused():
    with refused("expected each name once, got 'a' twice"):
        variants_of(BASE, ["a:search.steps=3", "a:search.steps=4"])
    with refused(r"unknown setting 'search.step'; did you mean search.steps\?"):
        variants_of(BASE, ["a:search.step=3"])


def test_the_sample_is_half_random_half_visited():
    space = Space(2, 4, 2)
    visited = [str(path) for path in space.all_paths()[:30]]
    sample = draw_sample(space, visited, 12, 0)
    assert [len(half) for half in sample.values()] == [6, 6]
    assert set(sample["visited"]) <= set(visited)
    assert len({*sample["random"], *sample["visited"]}) == 12
    assert sample == draw_sample(space, visited, 12, 0)
    assert sample != draw_sample(space, visited, 12, 1)
    assert sample["random"] == draw_sample(space, visited[:3], 12, 0)["random"], "a search does not move it"
    assert len(draw_sample(space, visited[:3], 12, 0)["visited"]) <= 3


def test_unseen_images_are_in_no_split(features):
    whole = features.train(), features.validation()
    everything = on(whole, task="blobs")
    kept, unseen = kept_apart(everything, 4)
    images = [set(one.rows[0].tolist()) for one in (kept.training, kept.validation, unseen)]
    assert sum(map(len, images)) == len(set.union(*images)) == sum(map(len, whole))
    assert len(unseen) == pytest.approx(sum(map(len, whole)) / 4, abs=1)
    assert images[0] < set(whole[0].rows[0].tolist())
    assert kept_apart(everything, 0) == (everything, None)


# --- the numbers ----------------------------------------------------------------------------------------------------


def planted(scores: list[float], unseen: list[float] | None = None) -> dict[str, Any]:
    """Parts of a seed whose truth rises over three random and three visited paths; `scores` are a variant's."""
    truth = [[0.1 * i, -1.0] for i in range(6)]
    first = {"scores": truth, "seconds": 1.0} | ({} if unseen is None else {"unseen": [[v, -1.0] for v in unseen]})
    parts = {"training 1": first, "training 2": {"scores": truth[::-1], "seconds": 1.0}}
    parts[DEFAULT] = {"scores": truth, "sample": {"random": ["0|1"] * 3, "visited": ["1|1"] * 3}, "seconds": 2.0}
    return {**parts, "own": {"scores": [[v, -1.0] for v in scores], "seconds": 3.0}}


def test_taus_by_hand():
    parts = planted([2, 1, 0, 3, 4, 5])
    # random half reversed, visited half right; of 15 pairs the 3 of the random half are wrong: (12 - 3) / 15
    assert agreement(parts, "own", "tau") == pytest.approx({"random": -1, "visited": 1, "both": 0.6})
    assert agreement(parts, DEFAULT, "tau_second") == pytest.approx({"random": -1, "visited": -1, "both": -1})
    assert agreement(planted([1] * 6), "own", "tau") == dict.fromkeys(("random", "visited", "both"))
    assert "tau_unseen" not in row([parts], "own")
    for one, likelihood in zip(parts["own"]["scores"], (5, 4, 3, 2, 1, 0), strict=True):
        one[1] = likelihood
    for one, likelihood in zip(parts["training 1"]["scores"], (0, 1, 2, 3, 5, 4), strict=True):
        one[1] = likelihood  # one pair of 15 in the other order, all others reversed: (1 - 14) / 15
    assert agreement(parts, "own", "tau_likelihood")["both"] == pytest.approx(-13 / 15)
    seen = row([planted([0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0])], "own")
    assert seen["tau"]["both"]["mean"] == pytest.approx(1)
    assert seen["tau_unseen"]["both"]["mean"] == pytest.approx(-1)


def test_differences_are_paired_by_seed_and_skip_what_is_unknown():
    each = [planted(scores) for scores in ([2, 1, 0, 3, 4, 5], [0, 1, 2, 3, 4, 5], [1] * 6)]
    rows = {name: row(each, name) for name in (DEFAULT, "own")}
    compare_with_default(rows, ["own"])
    gap = rows["own"]["against"]["tau"]["both"]
    assert (gap["seeds"], gap["p"], gap["p_holm"]) == (2, None, None)
    assert gap["difference"] == pytest.approx((0.6 - 1 + 0) / 2)
    many = [
        planted(s)
        for s in ([2, 1, 0, 3, 4, 5], [1, 0, 2, 3, 4, 5], [2, 1, 0, 3, 4, 5], [0, 1, 2, 3, 5, 4], [0, 2, 1, 3, 4, 5])
    ]
    rows = {name: row(many, name) for name in (DEFAULT, "own")}
    compare_with_default(rows, ["own"])
    gap = rows["own"]["against"]["tau"]["both"]
    assert 0 < gap["p"] == gap["p_holm"] < 0.05


# --- a study --------------------------------------------------------------------------------------------------------


def test_a_study(study, capsys, monkeypatch):
    monkeypatch.setattr(Features, "test", lambda self: pytest.fail("test images were asked for"))
    report = study.report()
    assert set(report["variants"]) == set(VARIANTS)
    parts = report["parts"]["1"]
    sample = [text for half in parts[DEFAULT]["sample"].values() for text in half]
    assert len(sample) == 6
    # the truth by hand: each path alone, on what the variants train on, unseen images apart
    here, unseen = study.bench(BASE, 1)
    for number, seed in ((1, 1), (2, derive(1, "fidelity", "second"))):
        for place, text in enumerate(sample):
            own = here.at(seed).without_refit()
            one = baselines.train_path(own, own.grid(), Path.parse(text))
            assert parts[f"training {number}"]["scores"][place] == pytest.approx([one.score, one.log_likelihood])
    assert len(parts["training 1"]["unseen"]) == 6
    # every variant's last state, after a search of its own
    own, _ = study.bench(VARIANTS["kept"], 1)
    evaluator, _ = bench.searched(own)
    assert [list(one) for one in evaluator.score(list(map(Path.parse, sample)))] == parts["kept"]["scores"]
    assert report["variants"]["kept"]["minibatches"] == 4 + 2 * 3
    assert report["variants"]["fresh"]["minibatches"] == 8 * 2 * 3
    here, unseen = study.bench(BASE, 0)
    assert report["n"] == {"train": len(here.training), "val": len(here.validation), "unseen": len(unseen)}
    show(report)
    out = capsys.readouterr().out
    assert all(name in out.replace("\n", " ") for name in ("tau_likelihood", "tau_unseen_likelihood", "ceiling"))


def test_fresh_scores_need_no_search(study):
    """Which the study relies on: the same after a whole search, rounding apart."""
    own, _ = study.bench(VARIANTS["fresh"], 0)
    paths = [Path.parse("0|1|2"), Path.parse("1+3|0|0")]
    for alone, after in zip(bench.new_evaluator(own).score(paths), bench.searched(own)[0].score(paths), strict=True):
        assert alone == Fitness(*(pytest.approx(value, abs=1e-4) for value in after))


def test_a_killed_study_goes_on_and_other_settings_start_anew(study, monkeypatch):
    made = []
    real = bench.truth_part

    def killed(*given: Any) -> Any:
        if len(made) == 1:
            raise KeyboardInterrupt
        made.append(given)
        return real(*given)

    monkeypatch.setattr(bench, "truth_part", killed)
    with pytest.raises(KeyboardInterrupt):
        study.of_seed(0)
    monkeypatch.setattr(bench, "default_part", lambda *given: pytest.fail("the default was searched twice"))
    monkeypatch.setattr(bench, "truth_part", lambda *given: made.append(given) or real(*given))
    parts = study.of_seed(0)
    assert [given[2] for given in made] == [0, derive(0, "fidelity", "second")], "each training once"
    monkeypatch.setattr(bench, "truth_part", lambda *given: pytest.fail("made again"))
    assert study.of_seed(0) == parts
    with pytest.raises(pytest.fail.Exception, match="searched twice"):
        replace(study, paths=4).of_seed(0)
