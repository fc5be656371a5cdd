"""The house stands as it was planned: imports point down, kernels know no Variable, every kernel file is installed."""

import ast
import importlib
import importlib.resources
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A module may import from lower floors and from its own; circles are excluded by a test of their own.
FLOORS = [
    ["minigan.kernels", "minigan._version", "minigan.backends", "minigan.backend", "minigan.configuration",
     "minigan.utils", "minigan.device_resident", "minigan.initializers", "minigan.random", "minigan.serializer",
     "minigan.function_hook", "minigan.cuda_graph"],
    ["minigan.core"],
    ["minigan.function", "minigan.function_hooks", "minigan.functions", "minigan.gradient_check", "minigan.reporter",
     "minigan.computational_graph"],
    ["minigan.link_hook", "minigan.link", "minigan.distributions"],
    ["minigan.links", "minigan.link_hooks", "minigan.optimizer", "minigan.optimizers", "minigan.optimizer_hooks"],
    ["minigan.dataset", "minigan.datasets", "minigan.iterators", "minigan.serializers", "minigan.training"],
    ["minigan.gans", "minigan.metrics", "minigan.divergences", "minigan.pictures", "minigan.run_folder",
     "minigan.testing"],
    ["minigan.legacy", "minigan.cli", "minigan.__main__"],
]  # fmt: skip
OPTIONAL = {
    "cupy", "cupyx", "matplotlib", "PIL", "h5py", "scipy", "mpi4py", "numba", "tomllib", "tomli", "click", "pytest",
    "IPython",
}  # fmt: skip


def sources():
    for top, package in (("minigan", "minigan"), ("kernels", "minigan.kernels")):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT / top).with_suffix("").parts
            yield ".".join([package, *parts]).removesuffix(".__init__"), path


SOURCES = dict(sources())


TREES = {module: ast.parse(path.read_text()) for module, path in SOURCES.items()}


def imports(module):
    """All ``(module, node)`` that a module imports; ``from a import b`` counts as ``a.b`` where that is a module."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield (full if full in SOURCES else node.module), node


def floor(module):
    if module == "minigan":  # the face of the whole
        return len(FLOORS) - 2
    for number, rooms in enumerate(FLOORS):
        if any(module == room or module.startswith(room + ".") for room in rooms):
            return number
    raise AssertionError(f"{module} has no floor: give it one in tests/test_architecture.py")


@pytest.mark.parametrize("module", SOURCES)
def test_imports_point_down(module):
    if module == "minigan":
        return
    for imported, _ in imports(module):
        if imported.split(".")[0] == "minigan":
            assert floor(imported) <= floor(module), f"{module} imports {imported}, which stands above it"


def test_there_are_no_circles():
    graph = {
        module: {i for i, _ in imports(module) if i in SOURCES and i != module and not is_package_of(i, module)}
        for module in SOURCES
    }
    done, path = set(), []

    def visit(module):
        if module in path:
            pytest.fail("import circle: " + " -> ".join(path[path.index(module) :] + [module]))
        if module in done:
            return
        path.append(module)
        for imported in sorted(graph[module]):
            visit(imported)
        path.pop()
        done.add(module)

    for module in graph:
        visit(module)


def is_package_of(package, module):
    return SOURCES[package].name == "__init__.py" and module.startswith(package + ".")


@pytest.mark.parametrize("module", SOURCES)
def test_no_file_imports_the_face_of_a_package_it_lives_in(module):
    if SOURCES[module].name == "__init__.py" or module.startswith(("minigan.cli", "minigan.__main__")):
        return
    for imported, node in imports(module):
        if imported in SOURCES and is_package_of(imported, module):
            names = [a.name for a in node.names] if isinstance(node, ast.ImportFrom) else []
            assert names and all(f"{imported}.{n}" in SOURCES for n in names), f"{module} imports the face {imported}"


@pytest.mark.parametrize("module", SOURCES)
def test_imports_stand_at_the_top_except_optional_packages(module):
    if module.startswith("minigan.cli"):  # commands import what they need, so that --help is quick
        return
    body = TREES[module].body
    top = {id(n) for n in body}
    for guarded in (n for n in body if isinstance(n, (ast.If, ast.Try))):
        top.update(id(n) for n in ast.walk(guarded))
    for imported, node in imports(module):
        assert id(node) in top or imported.split(".")[0] in OPTIONAL, f"{module}: line {node.lineno} imports {imported}"


@pytest.mark.parametrize("module", [m for m in SOURCES if m.startswith("minigan.kernels")])
def test_kernels_know_arrays_only(module):
    for imported, _ in imports(module):
        assert not imported.startswith("minigan") or imported.startswith("minigan.kernels")


def test_metrics_are_numpy_alone_but_for_the_classifiers():
    nets = [f"minigan.metrics.{name}" for name in ("lenet", "classifiers", "inception")]
    for module in (m for m in SOURCES if m.startswith("minigan.metrics") and m not in nets):
        for imported, _ in imports(module):
            assert imported.startswith("minigan.metrics") or imported.split(".")[0] != "minigan", module


def test_only_functions_and_optimizers_launch_kernels():
    for module in SOURCES:
        if any(i.startswith("minigan.kernels") for i, _ in imports(module)):
            allowed = (
                "minigan.core", "minigan.cuda_graph", "minigan.functions", "minigan.optimizer", "minigan.kernels",
                "minigan.utils.conv", "minigan.cli", "minigan.random",
            )  # fmt: skip
            assert module.startswith(allowed)


def test_nothing_unpickles():
    for module, path in SOURCES.items():
        if module == "minigan.datasets.pickle_dataset":  # refuses unless its caller says allow_pickle=True
            continue
        text = path.read_text()
        assert "allow_pickle=True" not in text, module
        assert not any(i.split(".")[0] in ("pickle", "dill", "joblib", "marshal") for i, _ in imports(module)), module


def test_every_kernel_file_is_found_through_the_installed_package():
    installed = importlib.resources.files("minigan.kernels")
    for path in (ROOT / "kernels").rglob("*.*"):
        if path.suffix in (".cu", ".md", ".py", ".h", ".cpp"):
            assert installed.joinpath(*path.relative_to(ROOT / "kernels").parts).read_text() == path.read_text()


def test_import_needs_numpy_only():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['cupy', 'matplotlib', 'h5py', 'scipy', 'PIL', 'click']));"
        "import minigan; print(minigan.__version__)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    from minigan import __version__

    assert result.stdout.strip() == __version__


IMPORTED_LATER = {  # parts of minigan, and of Python what is dear, that `import minigan` must not bring along
    "computational_graph", "cuda_graph", "dataset", "datasets", "distributions", "function_hooks", "functions", "gans",
    "gradient_check", "iterators", "legacy", "link_hooks", "links", "optimizer", "optimizer_hooks", "optimizers",
    "serializers", "testing", "training",
    "asyncio", "concurrent", "email", "http", "importlib.metadata", "logging", "multiprocessing", "ssl", "subprocess",
    "unittest", "urllib.request",
}  # fmt: skip


def test_import_is_quick_and_names_are_found_all_the_same():
    code = (
        "import sys, numpy; before = set(sys.modules); import minigan; print(*sorted(set(sys.modules) - before));"
        "assert set(minigan.__all__) <= set(dir(minigan)), set(minigan.__all__) - set(dir(minigan));"
        "assert minigan.training.Trainer and minigan.Optimizer is minigan.optimizer.Optimizer;"
        "from minigan import *; assert links.Linear and Distribution;"
        "from minigan import nothing"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    modules = {name.removeprefix("minigan.") for name in result.stdout.split()}
    assert "core" in modules and not modules & IMPORTED_LATER
    assert result.stderr.splitlines()[-1].startswith("ImportError: cannot import name 'nothing' from 'minigan'")


def test_a_type_checker_sees_what_is_imported_later():
    guarded = next(node for node in TREES["minigan"].body if isinstance(node, ast.If))
    seen = {alias.name for node in guarded.body for alias in node.names}
    assert seen == importlib.import_module("minigan")._LATER.keys()


def test_the_readme_reading_order_exists():
    """README lists one training step as ``file.py: Name.method``; each named thing must be there."""
    text = (ROOT / "README.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("    -> ")]
    assert len(lines) >= 6
    for line in lines:
        place, _, name = line.removeprefix("    -> ").partition(": ")
        names = {
            n.name for n in ast.walk(ast.parse((ROOT / place).read_text()))
            if isinstance(n, (ast.ClassDef, ast.FunctionDef))
        }  # fmt: skip
        for part in name.split(" ")[0].split("."):
            assert part in names, f"{place} has no {part}"


def test_a_checkout_that_is_not_installed_says_so(tmp_path):
    (tmp_path / "minigan").mkdir()
    (tmp_path / "minigan" / "__init__.py").write_bytes((ROOT / "minigan" / "__init__.py").read_bytes())
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import minigan"
    result = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert "install it by `python -m pip install -e .`" in result.stderr.splitlines()[-1]
