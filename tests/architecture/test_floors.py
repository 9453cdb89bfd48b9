"""The house's rules that a linter does not know: ceilings, lazy imports, where the environment is read."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "ossia"
SOURCES = sorted(PACKAGE.rglob("*.py"))
FILE_LINES, KERNEL_LINES, FUNCTION_LINES, FOLDER_FILES = 400, 700, 60, 12
# Third-party packages that an install may lack: they may be imported where they are used.
OPTIONAL = {"torch", "peft", "transformers", "huggingface_hub", "gguf", "prompt_toolkit"}


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_python_file_stays_under_its_ceilings(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= FILE_LINES
    tall = {
        f.name: (f.end_lineno or f.lineno) - f.lineno + 1
        for f in functions(ast.parse(text))
        if (f.end_lineno or f.lineno) - f.lineno + 1 > FUNCTION_LINES
    }
    assert not tall


@pytest.mark.parametrize("path", sorted((ROOT / "csrc").glob("*.*")), ids=relative)
def test_kernel_file_stays_under_its_ceiling(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= KERNEL_LINES


def test_folders_stay_small() -> None:
    crowded = {
        relative(folder): count
        for folder in [PACKAGE, *(p for p in PACKAGE.rglob("*") if p.is_dir() and p.name != "__pycache__")]
        if (count := sum(p.suffix == ".py" and p.name != "__init__.py" for p in folder.iterdir()))
        > FOLDER_FILES
    }
    assert not crowded


def test_no_folder_is_a_drawer() -> None:
    names = {p.stem for p in PACKAGE.rglob("*")}
    assert not names & {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_no_lazy_import_of_our_own(path: Path) -> None:
    lazy: list[str] = []
    for function in functions(ast.parse(path.read_text())):
        for node in ast.walk(function):
            if isinstance(node, ast.Import):
                lazy += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                lazy.append("." * node.level + (node.module or ""))
    foreign = {name for name in lazy if name.split(".")[0] in OPTIONAL}
    if path.is_relative_to(PACKAGE / "cli"):
        foreign |= {name for name in lazy if not name.startswith(("ossia.", "."))}
        if path.name == "main.py":  # the command table
            foreign |= set(lazy)
    assert set(lazy) == foreign


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_no_type_checking_import(path: Path) -> None:
    assert "TYPE_CHECKING" not in path.read_text()


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_only_settings_reads_the_environment(path: Path) -> None:
    if path == PACKAGE / "settings.py":
        return
    reads = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv"))
    ]
    assert not reads


def loaded_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_harmony_loads_neither_kernels_nor_engine() -> None:
    loaded = loaded_after("import ossia.harmony")
    assert "ossia.harmony" in loaded
    heavy = ("ossia.kernels", "ossia.model", "ossia.engine", "ossia.backends", "numpy", "torch")
    assert not [m for m in loaded if m.startswith(heavy)]


def test_import_ossia_is_light() -> None:
    loaded = loaded_after("import ossia")
    assert not [m for m in loaded if m.startswith(("ossia.", "numpy", "tiktoken", "torch"))]
