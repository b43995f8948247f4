"""The command line: every command answers --help, an error is one line, --json is one object, and the flow flows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from command_world import pathsearch
from PIL import Image
from small_world import SIZE, copied, data_dir, draw_folder, finished, options, settings
from typer.testing import CliRunner

from pathsearch import __version__ as pathsearch_version
from pathsearch.cli import main as cli
from pathsearch.run.runs import Run

COMMANDS = ["evolve", "joint-eval", "plot", "demo", "doctor", "prepare"]


def commands(group: Any, name: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command and group of commands, by what is typed to get there."""
    yield name
    for child, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*name, child))


ALL = list(commands(typer.main.get_command(cli.app)))


# --- help -----------------------------------------------------------------------------------------------------------


def test_the_promised_commands_are_there():
    assert {(name,) for name in COMMANDS} <= set(ALL)
    assert {("prepare", source) for source in ("ecg", "pneumonia", "lungs", "folder", "csv", "npz")} <= set(ALL)


@pytest.mark.parametrize("command", ALL, ids=" ".join)
def test_every_command_explains_itself(command):
    shown = CliRunner().invoke(cli.app, [*command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert shown.exit_code == 0, shown.output
    assert "Usage:" in shown.output
    described = typer.main.get_command(cli.app)
    for name in command:
        described = described.commands[name]  # type: ignore[attr-defined]
    for parameter in described.params:
        if parameter.name not in ("help", "run", "runs"):
            assert getattr(parameter, "help", "x"), f"{command}: {parameter.name} has no help"


def test_what_prepare_says_of_its_options_is_short():
    group = typer.main.get_command(cli.app).commands["prepare"]  # type: ignore[attr-defined]
    for name, command in group.commands.items():
        assert command.help.isascii(), name
        for parameter in command.params:
            said = getattr(parameter, "help", None)
            if parameter.name not in ("help", "context"):
                assert said.isascii(), (name, parameter.name)
                assert said.endswith("."), (name, parameter.name)
                assert len(said) <= 130, (name, parameter.name)


def test_a_target_of_a_plug_in_can_be_asked_for(tmp_path):
    (tmp_path / "own.py").write_text(
        "from pathsearch.targets import ClassTarget, register\n\n\n"
        "@register('severity')\nclass Severity(ClassTarget):\n    pass\n"
    )
    for part in ("train", "val", "test"):
        for number, label in enumerate(("cat", "dog")):
            (tmp_path / "pets" / part / label).mkdir(parents=True)
            Image.effect_noise((16, 16), 50 + number).save(tmp_path / "pets" / part / label / "1.png")
    words = ["prepare", "folder", "--source", tmp_path / "pets", "--name", "pets", "--image-size", "16"]
    there = ["--data-dir", tmp_path / "data", "--target", "severity"]
    assert "needs --plugin FILE" in pathsearch(*words, *there).err
    made = pathsearch(*words, *there, "--plugin", tmp_path / "own.py", "--json")
    assert made.code == 0, made.err
    assert json.loads(made.out)["target"] == "severity"


def test_a_task_of_boxes_is_to_be_trained_next(tmp_path):
    rows = ["file,x_min,y_min,x_max,y_max"]
    for number in range(15):
        Image.effect_noise((16, 16), 50 + number).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,1,2,9,{9 + number % 5}")
    (tmp_path / "boxes.csv").write_text("\n".join(rows))
    words = ["prepare", "csv", "--source", tmp_path / "boxes.csv", "--name", "boxes", "--image-size", "16"]
    assert "next: pathsearch train --blueprint unet --task boxes" in pathsearch(*words, "--data-dir", tmp_path).out
    labelled = "\n".join([f"{rows[0]},label", *(f"{row},{'ab'[i % 2]}" for i, row in enumerate(rows[1:]))])
    (tmp_path / "boxes.csv").write_text(labelled)
    words[words.index("boxes")] = "both"
    said = pathsearch(*words, "--data-dir", tmp_path).out
    assert "next: pathsearch evolve --task both\n      pathsearch train --blueprint unet --task both:box\n" in said


def test_a_misspelt_task_does_not_wait_for_torch(tmp_path):
    """What it costs is asked of the processor: a busy machine is not a failure."""
    (tmp_path / "shapes").mkdir()
    (tmp_path / "shapes" / "task.json").write_text("{}")
    script = (
        "import sys, time; from pathsearch.cli import main as cli\n"
        "try: cli.main()\n"
        "except SystemExit as end: assert end.code == 2, end.code\n"
        "assert 'torch' not in sys.modules, 'slow imports'; print(time.process_time())"
    )
    for command in ("evolve", "compare"):
        words = [sys.executable, "-c", script, command, "--task", "shpaes", "--data-dir", tmp_path]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        assert re.search("'shpaes' is not prepared.*did you mean shapes", done.stderr.replace("\n", " ")), done.stderr
        assert float(done.stdout) < 3, "seconds; one on an idle machine, torch alone takes more"


def test_version(monkeypatch, capsys):
    assert run_main(monkeypatch, capsys, "--version") == (0, f"pathsearch {pathsearch_version}\n", "")


def test_help_does_not_wait_for_torch():
    script = (
        "import sys; from pathsearch.cli import main as cli; sys.argv = ['pathsearch', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'torch' not in sys.modules and 'pandas' not in sys.modules, 'slow imports'"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout


def test_networks_from_pixels_wait_for_no_trunk():
    """Torchvision costs more than torch itself, for it imports torch's compiler."""
    slow = ("torchvision", "torch._dynamo", "monai", "torchmetrics", "sklearn.neighbors", "matplotlib")
    script = f"import sys, pathsearch.experts.evolve, pathsearch.encoders.pixels; print(set({slow}) & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == "set()\n", done


# --- errors ---------------------------------------------------------------------------------------------------------

MISTAKES = {
    "evolve --task nowhere": "task 'nowhere' is not prepared .*run: pathsearch prepare folder .* --name nowhere",
    "evolve --task blobs --encoder vgg61 --encoder-weights random": "did you mean 'vgg1",
    "evolve --task blobs --encoder squeezenet1_1 --encoder-weights none.pth": "expected imagenet, random or a file",
    "evolve --task blobs --device tpu": "--device: expected cpu, auto, or cuda",
    "evolve --task blobs --image-size 16": r"image_size: expected a number in \[32, 4096\], got 16",
    "evolve --task blobs --image-size 0": r"image_size: expected a number in \[32, 4096\], got 0",
    "evolve --task blobs --population 1": r"population: expected a number in \[2, 100000\], got 1",
    "evolve --task blobs --preset best": "preset: expected one of generational, pathnet, random",
    "evolve --task blobs --set training.epoch=3": "unknown setting 'training.epoch'; did you mean training.epochs",
    "evolve --task blobs --views 2 --set training.views=2": "--set training.views=2: --views is given too",
    "compare --task blobs --population 8": "--population: expected an option of compare, .*--set search.population=8$",
    "compare --fitness=auc --task blobs": "--fitness: .* give --set search.fitness=auc$",
    "compare --task blobs --pareto": "--pareto: .* give --set search.pareto=true$",
    "compare --task blobs --image-size 64 --set encoder.image_size=32": "--image-size is given too; leave out one",
    "evolve --task blobs --set grid.n_modules=2": "max_active: expected at most n_modules=2, got 3",
    "evolve --task blobs --pareto --set search.pareto=false": "--pareto is given too",
    "evolve --task blobs --set training.epochs=many": "expected a value like",
    "evolve --task stripes --threshold balanced": "threshold balanced: expected two classes, got 3; use argmax",
    "evolve --task blobs --threshold 0.5": "threshold: expected argmax, balanced or sensitivity",
    "evolve --task blobs --grid nowhere": "run nowhere: not found in .*runs there: none",
    "joint-eval": "no finished run in .*make one with `pathsearch evolve --task NAME`",
    "joint-eval a b": "run a: not found",
    "plot nowhere": "run nowhere: not found",
    "prepare folder --source nowhere --name x": "--source nowhere: expected a folder",
    "prepare npz --source nowhere.npz": "nowhere.npz",
    "prepare pneumonia --source nowhere": "--source nowhere",
    "prepare ecg --source nowhere": "nowhere",
    "prepare lungs --source nowhere": "--source nowhere: expected a folder with images/ and masks/, got nothing there",
    "prepare folder --source . --masks nowhere --name x": "expected one folder of images for each class",
    "prepare folder --source . --name x --target lung": "--target: expected one of class, mask, box, image; got 'lung'",
    "prepare csv --source nowhere --name x": "nowhere",
}


def run_main(monkeypatch, capsys, *arguments: str) -> tuple[int, str, str]:
    """`pathsearch ARGUMENTS` in this process: exit code, standard output, standard error."""
    monkeypatch.setattr(sys, "argv", ["pathsearch", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return (ended.value.code or 0, *capsys.readouterr())  # type: ignore[return-value]


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    there = ["--data-dir", str(data_dir())]
    known = {"evolve": there, "compare": there, "prepare": ["--data-dir", str(tmp_path / "data")]}
    code, out, err = run_main(monkeypatch, capsys, *command.split(), *known.get(command.split()[0], []))
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert re.search(MISTAKES[command], err), err
    assert not list(tmp_path.rglob("config.json")), "no run is begun"


@pytest.mark.parametrize("words", [["--set", "training.images_per_class=999"], ["--set", "search.folds=99"]])
def test_a_run_that_its_data_refuse_leaves_no_folder(tmp_path, words):
    small = options(settings("blobs", weights="fresh"))
    found = pathsearch("evolve", *small, *words, "--data-dir", data_dir(), "--runs-dir", tmp_path)
    assert found.code == 2
    assert words[1].partition("=")[0].partition(".")[2] in found.err
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_option_is_exit_code_2(monkeypatch, capsys):
    code, out, err = run_main(monkeypatch, capsys, "evolve", "--tusk", "x")
    assert (code, out) == (2, "")
    assert "--tusk" in err


def test_traceback_shows_the_rest(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pathsearch", "plot", "--traceback", "nowhere"])
    with pytest.raises(ValueError, match="run nowhere: not found"):
        cli.main()
    shown = pathsearch("plot", "nowhere", "--runs-dir", tmp_path, "--traceback")
    assert shown.code != 0
    assert "Traceback (most recent call last)" in shown.err


def test_a_fault_of_ours_is_exit_code_1_and_says_so(monkeypatch, capsys):
    def broken() -> None:
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr(cli, "app", broken)
    code, out, err = run_main(monkeypatch, capsys, "doctor")
    assert (code, out) == (1, "")
    assert err == "error: unexpected ZeroDivisionError: division by zero; --traceback shows where\n"


def test_a_full_disk_is_one_line(monkeypatch, capsys):
    def full() -> None:
        raise OSError(28, "No space left on device", "runs/x/log.csv")

    monkeypatch.setattr(cli, "app", full)
    code, _, err = run_main(monkeypatch, capsys, "doctor")
    assert code == 2
    assert err == "error: runs/x/log.csv: the disk is full; make room, then give the same command again\n"


def test_an_interrupt_says_what_is_true_of_its_command(monkeypatch, capsys):
    def interrupted(*folders: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pathsearch.cli.doctor.examine", interrupted)
    code, out, err = run_main(monkeypatch, capsys, "doctor")
    assert (code, out) == (130, "")
    assert err == "interrupted; it changes nothing\n"


def test_an_interrupted_predict_has_nothing_to_resume(monkeypatch, capsys):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pathsearch.experts.bundle.load", interrupted)
    code, out, err = run_main(monkeypatch, capsys, "predict", "model", "image.png")
    assert (code, out) == (130, "")
    assert "interrupted" in err
    assert "--resume" not in err


def test_a_taken_run_is_refused_and_overwritten_on_demand(tmp_path):
    old = copied(finished("blobs"), tmp_path)
    old.folder.rename(tmp_path / "blobs-random-s0")
    same = ["evolve", *options(settings("blobs")), "--data-dir", data_dir(), "--runs-dir", tmp_path]
    refused = pathsearch(*same)
    assert refused.code == 2
    assert "already holds a finished run; see it with `pathsearch plot blobs-random-s0`, start again" in refused.err
    assert "--resume" not in refused.err, "there is nothing to go on with"
    again = pathsearch(*same, "--overwrite", kill=("pathsearch.reports.figures:plot_run", 1))
    assert Run(tmp_path / "blobs-random-s0").finished, again


# --- the flow -------------------------------------------------------------------------------------------------------


def only_json(shown: Any) -> dict[str, Any]:
    """What `--json` printed, which must be one object on one line of standard output."""
    assert shown.code == 0, shown
    assert shown.out.count("\n") == 1, shown.out
    value = json.loads(shown.out)
    assert isinstance(value, dict)
    return value


def test_only_json_sees_another_line():
    class Shown:
        code, out = 0, 'hello\n{"a": 1}\n'

    with pytest.raises(AssertionError):
        only_json(Shown())


def test_from_folders_to_a_joint_report(tmp_path):
    where = ["--data-dir", tmp_path / "data", "--runs-dir", tmp_path / "runs"]

    # 1. two folders of images become tasks
    for name in ("stripes", "blobs"):
        source = draw_folder(tmp_path / "raw" / name, name, 60)
        made = pathsearch(
            *("prepare", "folder", "--source", source, "--name", name, "--image-size", SIZE),
            *("--data-dir", tmp_path / "data", "--json"),
        )
        assert sum(sum(counts.values()) for counts in only_json(made)["counts"].values()) == 60
        assert f"next: pathsearch evolve --task {name}" in made.err

    # 2. each evolves a path, the second on the first one's grid
    first = pathsearch("evolve", *options(settings("stripes", generations=2)), *where)
    assert first.code == 0, first
    assert "evolved path" in first.out
    for part in ("encode", "search      2 of 2", "best ", "train", "test"):
        assert part in first.err, "plain lines where there is no terminal"
    for line in ("next: pathsearch joint-eval", "pathsearch bundle stripes-random-s0 --out DIR"):
        assert f"{line} --data-dir {tmp_path / 'data'} --runs-dir {tmp_path / 'runs'}" in first.out
    on_grid = options(settings("blobs", generations=2))
    second = pathsearch("evolve", *on_grid, *where, "--grid", "stripes-random-s0", "--json")
    report = only_json(second)
    assert report == json.loads((tmp_path / "runs" / "blobs-random-s0" / "report.json").read_text())
    assert report["earlier_experts"][0]["logits_identical"]
    assert "earlier expert stripes (stripes-random-s0" in second.err
    assert "file and logits bit-identical" in second.err

    # 3. both answer a mixture, found by themselves
    joint = only_json(pathsearch("joint-eval", *where, "--json"))
    assert set(joint["tasks"]) == {"stripes", "blobs"}
    folder = Path(joint["folder"])
    assert json.loads((folder / "report.json").read_text())["overall"] == joint["overall"]
    named = pathsearch("joint-eval", "blobs-random-s0", "stripes-random-s0", *where)
    assert named.code == 0, named
    assert "Routing accuracy" in named.out

    # 4. figures, made again from the files
    runs = ["--runs-dir", tmp_path / "runs"]
    for name, expected in (("stripes-random-s0", 8), (folder.name, 5), (folder, 5)):
        for file in (tmp_path / "runs" / name).glob("*.png"):
            file.unlink()
        drawn = [Path(file) for file in only_json(pathsearch("plot", name, *runs, "--json"))["figures"]]
        assert len({file.stem for file in drawn}) == expected
        assert {file.suffix for file in drawn} == {".png", ".svg"}
        assert all(file.stat().st_size > 3000 for file in drawn), "an empty canvas has less than 2000 bytes"
