"""The import rules of the design, held by reading the source (nothing is imported here)."""

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


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def targets(node: ast.Import | ast.ImportFrom, known: set[str]) -> list[str]:
    """Full names of the modules that an import statement loads."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    inner = [f"{base}.{alias.name}" for alias in node.names]
    return [name if name in known else base for name in inner]


def imports(tree: ast.AST, known: set[str]) -> set[str]:
    """Modules that a file loads at run time, at the top or inside a function."""
    found: set[str] = set()
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.update(targets(node, known))
        elif is_type_checking(node):
            pending.extend(node.orelse)
            continue
        pending.extend(ast.iter_child_nodes(node))
    return found


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
    """The modules of one import cycle in order, or nothing. Imports inside functions count."""
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


ONLY_IN = {
    "mediapipe": ["sosie.training.teachers"],
    "ai_edge_litert": ["sosie.training.teachers"],
    "onnxruntime": ["sosie.runtime"],
    "onnx": ["sosie.training", "sosie.evaluation"],
    "safetensors": ["sosie.training", "sosie.evaluation", "sosie.swapping.identity_file"],
    "lightning_fabric": ["sosie.training.several"],
    "dlib": ["sosie.training"],
    "typer": ["sosie.app"],
    "rich": ["sosie.app"],
    "av": ["sosie.media", "sosie.app"],
}
"""External package -> the modules that may import it."""

WORKSHOP = ["sosie.nn", "sosie.training", "sosie.datasets", "sosie.evaluation"]
"""What makes and measures the networks: it may import torch, and what runs them does without it."""

TORCH_FILES = ["network", "losses", "recipe", "published"]
"""The files of a method's folder that may import torch, and those whose name ends so after a `_`
(`_network`, `_recipe`)."""

NEVER = [
    ("sosie.analysis", "sosie.compose"),
    ("sosie.compose", "sosie.analysis"),
    ("sosie.media", "sosie.analysis"),
    ("sosie.media", "sosie.compose"),
    ("sosie.media", "sosie.methods"),
    ("sosie.analysis", "sosie.methods"),
    ("sosie.compose", "sosie.methods"),
    ("sosie.methods", "sosie.media"),
    ("sosie.methods", "sosie.compose"),
]
"""(package, what it never imports). Stages meet in the pipeline alone."""


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


def test_no_cycles():
    assert cycle(GRAPH) == []


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
    return parts[:2] == ["sosie", "methods"] and is_one


def test_torch_stays_out_of_run_time_code():
    def may(module: str) -> bool:
        return is_torch_file(module) or any(is_in(module, place) for place in WORKSHOP)

    users = [m for m, names in GRAPH.items() if any(is_in(name, "torch") for name in names)]
    assert users
    assert [module for module in users if not may(module)] == []


def test_run_time_code_does_without_the_workshop():
    """Only its commands, and a method's own training, know how networks are made."""
    # Those of evaluation and datasets are several: evaluate and eval_*, dataset and dataset_*.
    commands = (
        *(f"sosie.app.cli.{name}" for name in ("train", "eval", "dataset", "weights")),
        "sosie.app.dataset_inputs",
    )
    run_time = {
        name: used
        for name, used in GRAPH.items()
        if not is_torch_file(name)
        and not any(is_in(name, p) for p in WORKSHOP)
        and not name.startswith(commands)
    }
    assert {"sosie.pipeline", "sosie.weights", "sosie.app.cli.swap"} <= set(run_time)
    assert [found for place in WORKSHOP for found in breaches(run_time, "sosie", place)] == []


def test_nothing_trains_on_what_it_is_measured_with():
    others = {name: used for name, used in GRAPH.items() if not is_in(name, "sosie.app")}
    found = breaches(others, "sosie", "sosie.evaluation")
    assert [breach for breach in found if not breach.startswith("sosie.evaluation")] == []


@pytest.mark.parametrize(("package", "forbidden"), NEVER, ids=lambda name: name.split(".")[-1])
def test_stages_do_not_know_each_other(package, forbidden):
    assert breaches(GRAPH, package, forbidden) == []


def test_nothing_imports_the_app():
    outside = {name: used for name, used in GRAPH.items() if not is_in(name, "sosie.app")}
    assert breaches(outside, "sosie", "sosie.app") == []


def test_methods_do_not_import_one_another():
    folders = {".".join(name.split(".")[:3]) for name in GRAPH if is_in(name, "sosie.methods")}
    folders -= {"sosie.methods", "sosie.methods.base", "sosie.methods.trained"}
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
    """The rules above are only as good as these three functions."""
    files = {
        "a": "import b.c\nif TYPE_CHECKING:\n    import d\n",
        "b": "from x.y import z\n",
        "b.c": "def f():\n    from b import d\n",
        "b.d": "import a as q\n",
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
