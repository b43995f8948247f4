"""What the design promises of the code itself, read from its syntax; each check is shown a planted breach."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("data_prep", "pathsearch")
# The rooms, in the order in which data flow: nothing in one imports from a room at its right.
ROOMS = ["run", "measures", "targets", "encoders", "grid", "training", "search", "experts", "reports", "cli"]
TOP = {*ROOMS, "__init__.py", "py.typed"}  # all that lies in `pathsearch/`
# Libraries that stay behind one door, and who may open it.
DOORS = {
    "deap": {"search.search"},
    "monai": {"measures.surfaces", "targets.mask_loss"},
    "PIL": {"reports.album", "experts.pictures", "encoders.views", "targets.pictures"},
    "torchmetrics": {"measures.similarity"},
    "torchvision": {"encoders.encoder_weights", "targets.boxes", "cli.doctor"},
    "typer": {
        "cli.main",
        "cli.compare",
        "cli.prepare",
        "cli.results",
        "cli.given",
        "cli.settings",
        "cli.use",
        "cli.evolve",
        "cli.train",
    },
    "rich": {"cli.terminal"},
    "matplotlib": {
        "reports.figures",
        "reports.figure_answers",
        "reports.figure_calibration",
        "reports.figure_compare",
        "reports.figure_confusion",
        "reports.figure_confusions",
        "reports.figure_curves",
        "reports.figure_finalists",
        "reports.figure_fronts",
        "reports.figure_grid",
        "reports.figure_heat",
        "reports.figure_overlay",
        "reports.figure_paths",
        "reports.figure_reliability",
        "reports.figure_style",
    },
    "jinja2": {"reports.report_page"},
    "onnxscript": {"experts.export"},
    "onnxruntime": set(),
    "wfdb": set(),
}
LONGEST = 350  # lines: above it, there is a second idea in the file


def sources(package: str) -> dict[str, str]:
    """The text of every file of a package, by its dotted name without the package's."""
    folder = ROOT / package
    files = {".".join(file.relative_to(folder).with_suffix("").parts): file for file in sorted(folder.rglob("*.py"))}
    return {name: file.read_text(encoding="utf-8") for name, file in files.items()}


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
    """The modules of its own package, or of another, that a file imports."""
    return {name.removeprefix(f"{package}.") for name in imports(text) if name.startswith(f"{package}.")} & modules


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


def room(name: str) -> int:
    """The place of a module's room from the left; what stands at the top belongs to none and sees all."""
    return ROOMS.index(name.split(".")[0]) if "." in name else len(ROOMS)


def backwards(edges: dict[str, set[str]]) -> list[tuple[str, str]]:
    return [(a, b) for a in edges for b in edges[a] if room(b) > room(a)]


def test_imports_follow_the_rooms():
    edges = graph("pathsearch")
    assert backwards(edges) == []
    assert {name.split(".")[0] for name in edges} == {*ROOMS, "__init__"}
    assert backwards({"grid.path": {"search.search"}, "search.search": {"grid.path"}}) == [
        ("grid.path", "search.search")
    ]


def test_a_newcomer_sees_ten_rooms():
    there = {file.name for file in (ROOT / "pathsearch").iterdir() if file.name != "__pycache__"}
    assert there == TOP


@pytest.mark.parametrize("one", ROOMS)
def test_a_room_says_what_lies_in_it(one):
    """Its docstring lists every file with the file's own first sentence."""
    texts = {name.split(".")[1]: text for name, text in sources("pathsearch").items() if name.startswith(f"{one}.")}
    said = str(ast.get_docstring(ast.parse(texts.pop("__init__"))))
    listed = dict(re.findall(r"^- `(\w+)`: (.*?)(?=^- |\Z)", said, flags=re.M | re.S))
    first = {name: told(text).split("\n\n")[0] for name, text in texts.items() if name != "__main__"}
    assert {name: words.split() for name, words in listed.items()} == {n: w.split() for n, w in first.items()}


def told(text: str) -> str:
    return str(ast.get_docstring(ast.parse(text))).replace("`", "")


def test_tests_mirror_the_rooms():
    rooms = {file.name for file in (ROOT / "tests").iterdir() if list(file.glob("test_*.py"))}
    assert rooms <= {*ROOMS, "data_prep", "soak", "contracts"}


def test_data_prep_knows_nothing_of_pathsearch():
    for name, text in sources("data_prep").items():
        assert not any(target.split(".")[0] == "pathsearch" for target in imports(text)), name


def test_pathsearch_takes_prepared_tasks_only():
    allowed = {"errors", "image_digests", "manifest", "mask_pixels", "safe_images", "table_words", "temporary", "warp"}
    allowed |= {"whole_files"}
    preparing = {"cli.prepare", "cli.demo"}  # they call the preparations by name
    opening = {"experts.pictures", "experts.predict"}  # they prepare a new image as the tasks' own
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
        names = {part for name in sources(package) for part in name.split(".")}
        assert not {"utils", "util", "helpers", "misc", "common"} & names


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


# --- arguments ------------------------------------------------------------------------------------------------------

MOST = 6  # arguments, apart from self and cls: more of them travel together and want a name


def trains(text: str) -> Iterator[str]:
    """Functions with too many arguments."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            if len([one for one in given if one.arg not in ("self", "cls")]) > MOST:
                yield node.name


def test_no_function_takes_a_train_of_arguments():
    """But the commands', which are what a user may type, and the preparations', which follow them."""
    for name, text in sources("pathsearch").items():
        assert name.startswith("cli.") or list(trains(text)) == [], name


def test_a_train_of_arguments_is_seen():
    assert list(trains("def f(self, a, b, c, d, e, g): pass")) == []
    assert list(trains("def f(a, b, c, *, d, e, g, h): pass")) == ["f"]
