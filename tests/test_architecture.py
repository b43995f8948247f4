"""What the design promises of the code itself, read from its syntax; each check is shown a planted breach."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("data_prep", "pathsearch")
# The flow, from left to right: nothing here imports what stands after it. Files that are not named may stand anywhere.
FLOW = [
    "tensor_file", "sealed", "streams", "sums", "fields", "config", "decision", "clusters", "auc", "intervals",
    "metrics", "mistakes", "statistics", "standing", "measure", "paired", "one_error", "fronts", "reliability",
    "encoder_weights", "encoder", "ahead", "growing", "views", "features", "modules", "vocabulary", "plugins",
    "recipe", "path", "grid", "population", "fitness", "sequential", "search", "finalists", "training",
    "baselines", "choice", "nearest", "rivals", "kept", "expert", "router", "calibration", "runs", "same_encoder",
    "heritage", "reuse", "run_verdict", "reporting", "evolve", "tradeoff", "verdict", "compare", "model", "mixture",
    "joint", "pictures", "predict", "answer_rows", "explain", "export", "markdown", "model_card", "bundle", "figures",
    "album", "again", "alt_texts", "page_tables", "page_statistics", "page_source", "page_run", "page_joint",
    "page_comparison", "report_page", "published", "evidence", "evidence_copy", "results_rows", "results_tasks",
    "results_joint", "results_paper", "results_beats", "results_compare", "results_page", "terminal", "demo",
    "doctor", "interrupts", "cli_errors", "cli_prepare", "cli_use", "cli_compare", "cli_results", "cli",
]  # fmt: skip
# Libraries that stay behind one door, and who may open it.
DOORS = {
    "deap": {"search"},
    "PIL": {"album", "pictures", "views"},
    "torchvision": {"encoder", "encoder_weights", "doctor"},
    "typer": {"cli", "cli_compare", "cli_prepare", "cli_results", "cli_settings", "cli_use"},
    "rich": {"terminal"},
    "matplotlib": {
        "figures",
        "figure_calibration",
        "figure_compare",
        "figure_confusion",
        "figure_fronts",
        "figure_grid",
        "figure_heat",
        "figure_paths",
        "figure_reliability",
        "figure_style",
    },
    "jinja2": {"report_page"},
    "onnxscript": {"export"},
    "onnxruntime": set(),
    "wfdb": set(),
}
LONGEST = 350  # lines: above it, there is a second idea in the file


def sources(package: str) -> dict[str, str]:
    """The text of every file of a package, by module name."""
    return {file.stem: file.read_text(encoding="utf-8") for file in sorted((ROOT / package).glob("*.py"))}


def imports(text: str) -> set[str]:
    """Everything that a file imports anywhere in it, dotted: `from a import b` gives a and a.b."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where they point"
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def own(text: str, package: str, modules: set[str]) -> set[str]:
    """The modules of its own package that a file imports."""
    return {name.split(".")[1] for name in imports(text) if name.startswith(f"{package}.")} & modules


def graph(package: str) -> dict[str, set[str]]:
    texts = sources(package)
    return {name: own(text, package, set(texts)) for name, text in texts.items()}


# --- one direction --------------------------------------------------------------------------------------------------


def cycle(edges: dict[str, set[str]]) -> list[str]:
    """One circle of imports, or nothing."""
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return []
        for target in sorted(edges[name]):
            if found := visit(target, [*trail, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(edges) if (found := visit(name, []))), [])


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_make_no_circle(package):
    assert cycle(graph(package)) == []


def test_cycle_finds_one():
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def backwards(edges: dict[str, set[str]]) -> list[tuple[str, str]]:
    place = {name: number for number, name in enumerate(FLOW)}
    return [(a, b) for a in edges for b in edges[a] if a in place and b in place and place[b] >= place[a]]


def test_imports_follow_the_flow():
    edges = graph("pathsearch")
    assert backwards(edges) == []
    assert set(FLOW) <= set(edges), "the flow names files that are there"
    assert backwards({"features": {"search"}, "search": set()}) == [("features", "search")]


def test_nothing_imports_the_command_line():
    for package in PACKAGES:
        files = {"cli", "cli_compare", "cli_errors", "cli_prepare", "cli_results", "cli_settings", "cli_use"}
        users = {name for name, targets in graph(package).items() if targets & files}
        assert users <= {"cli", "cli_compare", "cli_results", "cli_use"}, "the command line has seven files"


def test_data_prep_knows_nothing_of_pathsearch():
    for name, text in sources("data_prep").items():
        assert not any(target.split(".")[0] == "pathsearch" for target in imports(text)), name


def test_pathsearch_takes_prepared_tasks_only():
    allowed = {"errors", "image_digests", "manifest", "safe_images", "temporary", "whole_files"}
    preparing = {"cli_prepare", "demo"}  # they call the preparations by name
    opening = {"pictures", "predict"}  # they prepare a new image as the tasks' own
    for name, text in sources("pathsearch").items():
        taken = own(text, "data_prep", set(sources("data_prep")))
        own_allowed = allowed | ({"images"} if name in opening else set())
        assert name in preparing or taken <= own_allowed, f"{name} takes {taken - own_allowed}"


@pytest.mark.parametrize("library", DOORS)
def test_libraries_stay_behind_their_door(library):
    users = {
        name for name, text in sources("pathsearch").items() if library in {i.split(".")[0] for i in imports(text)}
    }
    assert users == DOORS[library]


def test_there_is_no_drawer_for_everything():
    for package in PACKAGES:
        assert not {"utils", "util", "helpers", "misc", "common"} & set(sources(package))


# --- what is never called -------------------------------------------------------------------------------------------


def breaches(text: str) -> Iterator[str]:
    """Calls that the house forbids: code from pickles, global generators, settings that run."""
    for target in sorted({name.split(".")[0] for name in imports(text)}):
        if target in ("pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"):
            yield f"import {target}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield f"line {node.lineno}: bare except"
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        options = {option.arg: ast.unparse(option.value) for option in node.keywords}
        if name == "torch.load" and options.get("weights_only") != "True":
            yield f"line {node.lineno}: torch.load without weights_only=True"
        if name in ("np.load", "numpy.load") and options.get("allow_pickle", "False") != "False":
            yield f"line {node.lineno}: np.load of pickles"
        if name in ("eval", "exec", "compile", "os.system"):
            yield f"line {node.lineno}: {name}"
        if name in ("torch.manual_seed", "torch.seed", "random.seed") or (
            name.startswith("random.") and name.split(".")[1] not in ("Random", "getstate", "setstate")
        ):
            yield f"line {node.lineno}: the global generator, {name}"
        if name.startswith(("np.random.", "numpy.random.")) and not name.startswith(
            ("np.random.default_rng", "np.random.Gen")
        ):
            yield f"line {node.lineno}: the global generator, {name}"


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_forbidden_is_called(package):
    for name, text in sources(package).items():
        assert list(breaches(text)) == [], name


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from joblib import load",
        "import torch\ntorch.load('x')",
        "import torch\ntorch.load('x', weights_only=False)",
        "np.load('x', allow_pickle=True)",
        "eval('1')",
        "random.shuffle(x)",
        "np.random.rand(3)",
        "torch.manual_seed(0)",
        "try:\n    x\nexcept:\n    pass",
    ],
)
def test_breaches_are_seen(text):
    assert len(list(breaches(text))) == 1


def test_what_is_allowed_is_no_breach():
    text = "torch.load(f, weights_only=True)\nnp.load(f)\nrandom.Random(3)\nnp.random.default_rng(0)\nmodel.eval()"
    assert list(breaches(text)) == []


# --- length ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", PACKAGES)
def test_files_stay_short(package):
    lengths = {name: len(text.splitlines()) for name, text in sources(package).items()}
    assert {name: n for name, n in lengths.items() if n > LONGEST} == {}
    assert sorted(lengths.values())[len(lengths) // 2] < 150, "the median"
