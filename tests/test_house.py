"""The rules of the house: who may import whom, what ships, what is pinned, and that what is written is true."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from lorgnette.assistant.command_line.main import COMMANDS
from lorgnette.assistant.weights.catalogue import HubSource, PackageSource, load_catalogue

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PACKAGES = ("device", "vision", "speech", "llm", "export", "assistant")
# Each may import itself and these. `assistant` reaches `export` only from inside a function: see below.
MAY_IMPORT = {
    "device": set(),
    "vision": {"device"},
    "speech": {"device"},
    "llm": {"device", "vision", "speech"},
    "export": {"device", "vision", "llm"},
    "assistant": {"device", "vision", "speech", "llm"},
}
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """The absolute names that a file imports, and whether at its top level (type-checking blocks count as neither)."""

    def walk(node: ast.AST, top: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.Import):
                yield from ((alias.name, top) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}: a relative import"
                yield from ((f"{child.module}.{alias.name}", top) for alias in child.names)
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from walk(child, top and not inside)

    yield from walk(ast.parse(path.read_text("utf-8")), True)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    allowed = MAY_IMPORT[package] | {package}
    for name, top in imports(path):
        first, _, rest = name.partition(".")
        assert first not in PACKAGES, f"{path}: write lorgnette.{name}"
        if first != "lorgnette":
            continue
        target = rest.partition(".")[0]
        lazy_export = package == "assistant" and target == "export"
        # The command that exports is itself only imported when somebody asks for it.
        asked_for = path.name == "export.py" and path.parent.name == "command_line"
        assert target in allowed or (lazy_export and (not top or asked_for)), f"{path} may not import {name}"


def test_torch_lives_in_export_train_only() -> None:
    for path in SOURCES:
        if not path.is_relative_to(ROOT / "export" / "train"):
            foreign = {name.partition(".")[0] for name, _ in imports(path)}
            assert not foreign & {"torch", "transformers", "optimum"}, path


def test_every_package_is_listed() -> None:
    found = {f"lorgnette.{'.'.join(p.parent.relative_to(ROOT).parts)}" for p in SOURCES if p.name == "__init__.py"}
    found.add("lorgnette.examples")  # data for the demo; its script is not part of the program
    found.add("optimum.commands.register")  # a namespace of another distribution, in which ours has one file
    assert found == set(PROJECT["tool"]["setuptools"]["packages"])
    assert {path.parent for path in SOURCES} == {path.parent for path in SOURCES if path.name == "__init__.py"}


def test_files_are_named_after_things() -> None:
    assert not {path.stem for path in SOURCES} & {
        "utils",
        "util",
        "helpers",
        "helper",
        "common",
        "manager",
        "misc",
        "types",
    }


def test_no_file_has_grown_too_long() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in SOURCES}
    assert {name: length for name, length in lengths.items() if length > 320} == {}


def test_only_the_supervisor_catches_everything() -> None:
    for path in SOURCES:
        if path == ROOT / "assistant" / "background.py":
            continue  # the one place with a thread: it carries whatever happened there to whoever asked
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ExceptHandler):
                caught = ast.unparse(node.type) if node.type else "everything"
                reraises = isinstance(node.body[-1], ast.Raise)
                assert reraises or caught not in {"everything", "Exception", "BaseException"}, f"{path}:{node.lineno}"


def test_every_command_is_there() -> None:
    for name, module in COMMANDS.items():
        tree = ast.parse((ROOT / f"{module.removeprefix('lorgnette.').replace('.', '/')}.py").read_text("utf-8"))
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert ast.get_docstring(tree), name
        assert {"add_arguments", "run"} <= functions, name


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", name)[0]).lower()


def test_everything_we_depend_on_is_pinned() -> None:
    groups = [PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]
    assert {normal(requirement) for group in groups for requirement in group} <= set(pins())


def test_the_pins_name_no_registry() -> None:
    text = (ROOT / "constraints.txt").read_text("utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*-", text, re.MULTILINE)


def test_the_licences_page_names_every_weight_and_dependency() -> None:
    page = (ROOT / "docs" / "licences.md").read_text("utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]
    by_name = {row[0].strip("`"): row for row in rows}
    for weight in load_catalogue().values():
        row = " ".join(by_name[weight.name])
        assert weight.licence.id in row
        assert weight.licence.url in row
        for source in weight.sources:
            match source:
                case PackageSource():
                    assert all(f"{package.name} {package.version}" in row for package in source.packages)
                case HubSource():
                    assert source.repo in row
        assert all(reference.repo in row for reference in weight.references)
    for requirement in PROJECT["project"]["dependencies"]:
        assert normal(requirement) in by_name, f"{requirement} is missing from docs/licences.md"
    assert "GPL-3" in " ".join(by_name["piper-tts"])


def test_the_readme_begins_with_the_two_commands() -> None:
    blocks = re.findall(r"```(?:sh|bash|console)\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    commands = [line.strip() for block in blocks for line in block.splitlines()]
    made = [command for command in commands if command.startswith("make ")]
    assert made[:2] == ["make demo", "make test"]
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert {command.split()[1] for command in made} <= targets
    for command in commands:
        if command.startswith("lorgnette "):
            assert any(f" {name}" in command for name in COMMANDS), command


@pytest.fixture(scope="module")
def bare_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the built wheel in it, and this environment's other packages behind it."""
    folder = tmp_path_factory.mktemp("wheel")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        if (
            name.partition("/")[0] in {*PACKAGES, "examples", "integrations", "pyproject.toml", "README.md", "LICENSE"}
            and (ROOT / name).is_file()
        ):
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "source" / name)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder / "dist"), "."]
    subprocess.run(build, cwd=folder / "source", check=True, capture_output=True)
    venv.create(folder / "bare", with_pip=False)
    (wheel,) = (folder / "dist").glob("lorgnette-*.whl")
    python = folder / "bare" / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    # A plain path entry brings the dependencies but not this environment's editable lorgnette.
    where = sysconfig.get_path("purelib", vars={"base": str(folder / "bare")})
    (Path(where) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bare"


def run_bare(bare: Path, *command: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["LORGNETTE_CACHE"] = str(bare / "cache")
    done = subprocess.run(command, cwd=bare, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_runs_outside_the_repository(bare_environment: Path) -> None:
    lorgnette = str(bare_environment / "bin" / "lorgnette")
    assert run_bare(bare_environment, lorgnette, "--version") == f"lorgnette {PROJECT['project']['version']}\n"
    records = json.loads(run_bare(bare_environment, lorgnette, "models", "list", "--json"))
    assert {record["name"] for record in records} == set(load_catalogue())
    for name in COMMANDS:
        assert "usage: lorgnette" in run_bare(bare_environment, lorgnette, name, "--help")


def test_the_wheel_carries_every_module_and_data_file(bare_environment: Path) -> None:
    code = "import lorgnette.device as d, pathlib; print(pathlib.Path(d.__file__).parent.parent)"
    installed = Path(run_bare(bare_environment, str(bare_environment / "bin" / "python"), "-c", code).strip())
    assert installed.is_relative_to(bare_environment)
    tracked = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True)
    missing = [name for name in tracked.stdout.split() if not (installed / name).is_file()]
    assert missing == []
    assert (installed.parent / "optimum" / "commands" / "register" / "register_lorgnette.py").is_file()
