"""The import rules of the design, held by reading the source (nothing is imported here).

Imports for type checking and inside functions count like any other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}


def targets(node: ast.Import | ast.ImportFrom, known: set[str]) -> list[str]:
    """Full names of the modules that an import statement loads."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    inner = [f"{base}.{alias.name}" for alias in node.names]
    return [name if name in known else base for name in inner]


def imports(tree: ast.AST, known: set[str]) -> set[str]:
    """Modules that a file names: at the top, inside a function, or for type checking alone."""
    return {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in targets(node, known)
    }


def read_graph(files: dict[str, Path]) -> dict[str, set[str]]:
    return {
        name: imports(ast.parse(path.read_text("utf-8")), set(files))
        for name, path in files.items()
    }


GRAPH = read_graph(FILES)


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def breaches(graph: dict[str, set[str]], within: str, forbidden: str) -> list[str]:
    """`importer -> imported` for every import of `forbidden` by a module of `within`."""
    return [
        f"{module} -> {name}"
        for module, names in sorted(graph.items())
        for name in sorted(names)
        if is_in(module, within) and is_in(name, forbidden)
    ]


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """The names of one circle of imports in order, or nothing."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for name in sorted(graph.get(module, set()) & set(graph)):
            found = visit(name, [*path, module])
            if found:
                return found
        done.add(module)
        return []

    for module in sorted(graph):
        found = visit(module, [])
        if found:
            return found
    return []


def within(graph: dict[str, set[str]], package: str) -> dict[str, set[str]]:
    """The imports between a package's children, each a module or a package with all that it holds.
    What the package's own `__init__` has stands under the package's name."""

    def child(module: str) -> str:
        return ".".join(module.split(".")[: len(package.split(".")) + 1])

    inner: dict[str, set[str]] = {child(name): set() for name in graph if is_in(name, package)}
    for module, names in graph.items():
        for name in names:
            if is_in(module, package) and is_in(name, package) and child(module) != child(name):
                inner[child(module)].add(child(name))
    return inner


ORDER = (
    (
        "errors",
        "files",
        "foreign",
        "option_rules",
        "options",
        "output",
        "plugins",
        "records",
        "stops",
        "timing",
        "types",
    ),
    ("cluster", "media", "models", "nn"),
    ("geometry",),
    ("analysis", "blending", "training"),
    ("processors",),
    ("datasets",),
    ("recipes",),
    ("methods",),
    ("swapping",),
    ("pipeline", "reenactment"),
    ("evaluation",),
    ("app",),
)
"""The packages of `sosie`, the lowest first. A package imports only from lines above its own."""

ONLY_IN = {
    "dask": ["sosie.cluster"],
    "distributed": ["sosie.cluster"],
    "mediapipe": ["sosie.recipes.teachers"],
    "ai_edge_litert": ["sosie.recipes.teachers"],
    "onnxruntime": ["sosie.models.session"],
    "onnx": ["sosie.training", "sosie.recipes", "sosie.evaluation"],
    "safetensors": [
        *("sosie.training", "sosie.recipes", "sosie.evaluation"),
        *("sosie.swapping.identity_file", "sosie.methods.megafs.directions"),
    ],
    "lightning_fabric": ["sosie.training.distributed"],
    "dlib": ["sosie.recipes"],
    "typer": ["sosie.app"],
    "rich": ["sosie.app"],
    "av": ["sosie.media", "sosie.app"],
    "OpenEXR": ["sosie.media.exr"],
}
"""External package -> the modules that may import it."""

_WORKSHOP_COMMANDS = ("train", "export", "eval", "dataset", "weights", "bench")
WORKSHOP = ["sosie.nn", "sosie.training", "sosie.recipes", "sosie.datasets", "sosie.evaluation"]
"""What makes and measures the networks: it may import torch, and what runs them does without it."""

TORCH_FILES = ["network", "losses", "recipe", "published", "discriminators", "xseg"]
"""The files of a method's folder that may import torch, and those whose name ends so after a `_`
(`_network`, `_recipe`)."""

_PLUGGED = (["sosie", "methods"], ["sosie", "reenactment"])
"""Packages whose parts bring their own networks."""

MAKERS = [*TORCH_FILES, "alter", "samples", "store"]
"""The files of a method's folder that make its network, with torch or without."""

NEVER = [
    ("sosie.analysis", "sosie.media"),
    ("sosie.blending", "sosie.media"),
    ("sosie.methods", "sosie.media"),
    ("sosie.nn", "sosie.media"),
    ("sosie.models", "sosie.media"),
    ("sosie.training", "sosie.media"),
]
"""(package, what it never imports, though the order would let it): pixels come to it in memory."""


def calls(tree: ast.AST) -> Iterator[str]:
    """The names of what a file calls, dotted, and with them what it says of pickles."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            allowed = [k for k in node.keywords if k.arg == "allow_pickle"]
            safe = all(ast.unparse(k.value) == "False" for k in allowed)
            yield ast.unparse(node.func) + ("" if safe else " with pickles")


def test_no_file_is_read_by_what_runs_it():
    running = {"torch.load", "torch.jit.load", "torch.package.PackageImporter", "eval", "exec"}
    found = [
        f"{module}: {name}"
        for module, path in FILES.items()
        for name in calls(ast.parse(path.read_text("utf-8")))
        if name in running or name.endswith(" with pickles")
    ]
    unpicklers = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
    found += [
        f"{module} -> {name}"
        for module, names in GRAPH.items()
        for name in names
        if name.split(".")[0] in unpicklers
    ]
    assert found == []


def test_the_source_was_found():
    assert {"sosie", "sosie.options", "sosie.app.cli"} <= set(GRAPH)
    assert "numpy" in GRAPH["sosie.types"]


def test_every_package_has_its_place_in_the_order():
    present = {name.split(".")[1] for name in GRAPH if name.count(".")}
    placed = [name for line in ORDER for name in line]
    assert len(placed) == len(set(placed))
    assert present <= set(placed)


def test_a_package_imports_only_from_those_before_it():
    rank = {name: number for number, line in enumerate(ORDER) for name in line}
    wrong = [
        f"{module} -> {name}"
        for module, names in sorted(GRAPH.items())
        for name in sorted(names)
        if module.count(".") and name.startswith("sosie.")
        if module.split(".")[1] != name.split(".")[1]
        # Types, errors and options are one line of modules, in which `within` finds circles.
        if rank[name.split(".")[1]] >= max(rank[module.split(".")[1]], 1)
    ]
    assert wrong == []


def test_no_circle_of_modules():
    inner = {name: used for name, used in GRAPH.items() if name != "sosie"}
    assert cycle(inner) == []


@pytest.mark.parametrize("package", sorted(n for n, p in FILES.items() if p.stem == "__init__"))
def test_no_circle_of_packages(package):
    """At each level of the tree, packages being taken with all that they hold."""
    inner = within(GRAPH, package)
    if package == "sosie":  # its own `__init__` names what the pipeline offers
        inner.pop("sosie")
    assert cycle(inner) == []


@pytest.mark.parametrize("package", sorted(ONLY_IN))
def test_packages_that_have_one_home(package):
    strangers = [
        module
        for module, names in GRAPH.items()
        if any(is_in(name, package) for name in names)
        and not any(is_in(module, home) for home in ONLY_IN[package])
    ]
    assert strangers == []


def is_torch_file(module: str) -> bool:
    parts = module.split(".")
    is_one = parts[-1] in TORCH_FILES or parts[-1].endswith(("_network", "_recipe"))
    return parts[:2] in _PLUGGED and is_one


def is_maker(module: str) -> bool:
    parts = module.split(".")
    return is_torch_file(module) or (parts[:2] in _PLUGGED and parts[-1] in MAKERS)


def test_torch_stays_out_of_run_time_code():
    def may(module: str) -> bool:
        return is_torch_file(module) or any(is_in(module, place) for place in WORKSHOP)

    users = [m for m, names in GRAPH.items() if any(is_in(name, "torch") for name in names)]
    assert users
    assert [module for module in users if not may(module)] == []


def test_run_time_code_does_without_the_workshop():
    """Only its commands, and a method's own training, know how networks are made and measured."""
    # Those of evaluation and datasets are several: evaluate and eval_*, dataset and dataset_*.
    commands = (
        *(f"sosie.app.cli.{name}" for name in _WORKSHOP_COMMANDS),
        "sosie.app.dataset_inputs",
        "sosie.app.dataset_imports",
    )
    run_time = {
        name: used
        for name, used in GRAPH.items()
        if not is_maker(name)
        and not any(is_in(name, p) for p in WORKSHOP)
        and not name.startswith(commands)
    }
    assert {"sosie.pipeline", "sosie.models.cards", "sosie.app.cli.swap"} <= set(run_time)
    assert [found for place in WORKSHOP for found in breaches(run_time, "sosie", place)] == []


def test_nothing_trains_on_what_it_is_measured_with():
    others = {name: used for name, used in GRAPH.items() if not is_in(name, "sosie.app")}
    found = breaches(others, "sosie", "sosie.evaluation")
    assert [breach for breach in found if not breach.startswith("sosie.evaluation")] == []


def test_what_evaluates_a_network_is_no_part_of_what_trains_it():
    def evaluates(module: str) -> bool:
        return is_in(module, "sosie.recipes") and module.split(".")[-1].startswith("evaluate")

    assert any(evaluates(module) for module in GRAPH)
    wrong = [
        f"{module} -> {name}"
        for module, names in GRAPH.items()
        for name in names
        if evaluates(name) and not evaluates(module) and not is_in(module, "sosie.app")
    ]
    assert wrong == []


@pytest.mark.parametrize(("package", "forbidden"), NEVER, ids=lambda name: name.split(".")[-1])
def test_stages_do_not_know_each_other(package, forbidden):
    assert breaches(GRAPH, package, forbidden) == []


def test_nothing_imports_the_app():
    outside = {name: used for name, used in GRAPH.items() if not is_in(name, "sosie.app")}
    assert breaches(outside, "sosie", "sosie.app") == []


def test_methods_do_not_import_one_another():
    folders = {".".join(name.split(".")[:3]) for name in GRAPH if is_in(name, "sosie.methods")}
    shared = (
        *("base", "imported", "interfaces", "learned_mask", "movers", "parts", "two_people"),
        "weights",
    )
    folders -= {"sosie.methods", *(f"sosie.methods.{name}" for name in shared)}
    assert folders
    pairs = [(one, other) for one in folders for other in folders if one != other]
    assert [found for one, other in pairs for found in breaches(GRAPH, one, other)] == []


def test_the_library_neither_prints_nor_exits():
    """`print`, `sys.exit` and `exit` belong to the app."""
    speaking = []
    for name, path in FILES.items():
        if is_in(name, "sosie.app"):
            continue
        calls = (n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call))
        speaking += [
            name for call in calls if ast.unparse(call.func) in {"print", "exit", "sys.exit"}
        ]
    assert speaking == []


def test_the_readers_see_what_they_must(tmp_path):
    """The rules above are only as good as these functions."""
    files = {
        "a": "import b.c\n",
        "b": "from x.y import z\n",
        "b.c": "def f():\n    from b import d\n",
        "b.d": "if TYPE_CHECKING:\n    import a as q\n",
        "d": "",
    }
    paths = {}
    for name, text in files.items():
        paths[name] = tmp_path / f"{name}.py"
        paths[name].write_text(text)
    graph = read_graph(paths)
    assert graph == {"a": {"b.c"}, "b": {"x.y"}, "b.c": {"b.d"}, "b.d": {"a"}, "d": set()}
    assert cycle(graph) == ["a", "b.c", "b.d", "a"]
    assert breaches(graph, "b", "x") == ["b -> x.y"]
    assert cycle({**graph, "b.d": set()}) == []
    rooms = {"p": set(), "p.a.x": {"p.b.y"}, "p.b.z": {"p.a.w"}, "p.b.y": set(), "p.a.w": set()}
    assert cycle(rooms) == []
    assert within(rooms, "p") == {"p": set(), "p.a": {"p.b"}, "p.b": {"p.a"}}
    assert cycle(within(rooms, "p")) == ["p.a", "p.b", "p.a"]
