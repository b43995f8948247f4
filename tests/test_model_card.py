"""The model card: data, split, numbers with intervals and limits, as the runs have them."""

from __future__ import annotations

from bundles import TASKS, write, written
from small_world import (
    CPU,
    copied,
    data_dir,
    encoder,
    finished,
    task,
)

from pathsearch import joint
from pathsearch.markdown import escaped
from pathsearch.teller import Silent


def test_the_card_has_data_split_numbers_and_limits():
    card = (written() / "MODEL_CARD.md").read_text()
    for name in TASKS:
        report = finished(name).report()
        low, high = report["test"]["ci95"]["accuracy"]
        assert task(name).info["source"] in " ".join(card.split())
        assert f"Licence: {escaped(task(name).info['licence'])}" in card
        assert escaped(report["split_in_words"]) in card
        assert f"{report['test']['accuracy']:.4f} ({low:.4f}, {high:.4f})" in card
        assert f"n = {report['test']['n']:,}" in card
        for line in report["verdict"]:
            assert escaped(line) in card
    for words in ("Not a medical device", "not calibrated", "linear probe", encoder().weights_sha256, "No joint eval"):
        assert words in card


def test_the_card_has_the_joint_numbers_if_they_are_of_these_runs(tmp_path):
    runs = [copied(finished(name), tmp_path / "runs") for name in TASKS]
    report = joint.joint_evaluate(runs, data_dir(), data_dir() / "features", CPU, 0, Silent())
    joint.save(report, tmp_path / "runs")
    write(tmp_path / "both", runs=runs)
    found = f"**All test images mixed**, n = {report['overall']['n']}: accuracy {report['overall']['accuracy']:.4f}"
    assert found in (tmp_path / "both" / "MODEL_CARD.md").read_text()
    write(tmp_path / "one", runs=runs[:1])
    assert "All test images mixed" not in (tmp_path / "one" / "MODEL_CARD.md").read_text()
