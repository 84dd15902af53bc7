"""The rooms of ARCHITECTURE.md: who may import whom, and which libraries live where."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from architecture.sources import imports, imports_of, is_there, nodes_of, text_of

ROOT = Path(__file__).resolve().parents[2]
TOP = ("wellstream", "framework", "data_tools", "experiments", "launch", "benchmarks", "tests")

# Level of each folder (and of each module at the top); a folder imports lower levels only, never a sibling. The face of
# a folder, its ``__init__``, may show anything inside it.
LEVELS = {
    "framework": 0,
    "framework.allocator": 0,
    "framework.errors": 0,
    "framework.compiled": 0,
    "framework.registry": 0,
    "framework.durable": 0,
    "framework.terminal": 0,
    "framework.exit_codes": 0,
    "framework.interpreter": 0,
    "framework.progress": 0,
    "framework.format": 0,
    "framework.result": 0,
    "framework.lazy": 0,
    "framework.config": 1,
    "framework.plugins": 1,
    "framework.distributed": 1,
    "framework.files": 1,
    "framework.look": 1,
    "framework.data.format": 2,
    "framework.data.cores": 2,
    "framework.data.remote": 3,
    "framework.cluster": 2,
    "framework.models": 3,
    "framework.models.pools": 2,
    "framework.data": 4,
    "framework.checkpoint": 4,
    "framework.tracking": 4,
    "framework.data.plan": 5,
    "framework.data.store": 5,
    "framework.data.export": 6,
    "framework.data.scales": 6,
    "framework.data.augmentations": 6,
    "framework.data.loading": 7,
    "framework.evaluate": 6,
    "framework.objectives": 7,
    "framework.features": 7,
    "framework.profiles.methods": 7,
    "framework.profiles": 8,
    "framework.expression": 7,
    "framework.trainer.schedules": 6,
    "framework.trainer.optimisers": 7,
    "framework.trainer": 8,
    "framework.report": 8,
    "framework.report.figures": 9,
    "framework.report.run": 11,
    "framework.report.look": 12,
    "framework.report.features": 10,
    "framework.report.expression": 10,
    "framework.report.omics": 12,
    "framework.run.train": 12,
    "framework.run.apply": 13,
    "framework.run.heads": 13,
    "framework.run.verification": 13,
    "framework.run": 14,
    "framework.baselines": 14,
    "framework.study": 15,
    "data_tools": 0,
    "data_tools.wells": 0,
    "data_tools.tiles": 0,
    "data_tools.formats": 0,
    "data_tools.shards": 0,
    "data_tools.simulate": 0,
    "data_tools.readers": 0,
    "data_tools.illumination": 1,
    "data_tools.nuclei": 1,
    "data_tools.platemap_forms": 1,
    "data_tools.readers.tables": 1,
    "data_tools.readers.plates": 2,
    "data_tools.readers.cells": 2,
    "data_tools.omics": 2,
    "data_tools.single_cell": 2,
    "data_tools.platemap": 3,
    "data_tools.release": 3,
    "data_tools.pipeline.build": 4,
    "data_tools.pipeline.plates": 5,
    "data_tools.pipeline.cells": 5,
    "data_tools.pipeline": 6,
    "data_tools.start": 7,
}
# registry builds on errors although both are at the bottom; a config is a file that may be damaged.
ALLOWED_SIBLINGS = {
    ("framework.registry", "framework.errors"),
    ("framework.errors", "framework.exit_codes"),
    ("framework.terminal", "framework.exit_codes"),
    ("framework.config", "framework.files"),
    ("framework.config", "framework.plugins"),
}
OF_FRAMEWORK_IN_DATA_TOOLS = (
    "framework.allocator",
    "framework.errors",
    "framework.plugins",
    "framework.registry",
    "framework.durable",
    "framework.config",
    "framework.compiled",
    "framework.files",
    "framework.look",
    "framework.progress",
    "framework.format",
    "framework.result",
    "framework.data.format",
)
# A library that belongs to one place: everything else asks that place.
LIBRARY_ROOMS = {
    "torch.distributed": ("framework.distributed",),
    "accelerate": ("framework.distributed",),
    "wandb": ("framework.tracking",),
    "rich.console.Console": ("framework.terminal", "framework.trainer.display", "experiments", "benchmarks"),
    "rich.progress": ("framework.terminal",),
    "defusedxml": ("data_tools.formats.xml_file",),
    "dask": ("data_tools.pipeline", "wellstream.data"),
    "distributed": ("data_tools.pipeline",),
}
# Imports inside a function are for optional dependencies alone.
OPTIONAL = {"umap", "scanpy", "flowio", "harmonypy"}
BANNED_NAMES = {"utils", "helpers", "common", "misc", "util", "helper"}


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def source_files() -> list[Path]:
    return sorted(f for top in TOP for f in (ROOT / top).rglob("*.py"))


def product_files() -> list[Path]:
    return [f for f in source_files() if f.relative_to(ROOT).parts[0] not in ("tests", "benchmarks")]


def room(name: str) -> str:
    """The longest room of LEVELS that holds module ``name``."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        head = ".".join(parts[:length])
        if head in LEVELS:
            return head
    raise KeyError(f"{name} belongs to no room of LEVELS: give it a level and describe it in ARCHITECTURE.md")


def inside(name: str, places: tuple[str, ...]) -> bool:
    return any(name == place or name.startswith(place + ".") for place in places)


@pytest.mark.parametrize("file", product_files(), ids=module_name)
def test_a_room_imports_lower_levels_only(file: Path) -> None:
    name = module_name(file)
    for target, line in imports_of(file):
        where = f"{file.relative_to(ROOT)}:{line} imports {target}"
        top = target.split(".")[0]
        assert top not in ("tests", "benchmarks"), where
        assert top != "experiments" or inside(name, ("experiments",)), where
        assert top != "wellstream" or inside(name, ("wellstream", "launch")), f"{where}: the face is for users alone"
        assert top != "launch" or inside(name, ("launch", "experiments", "wellstream.__main__")), where
        if name.startswith("framework"):
            assert top != "data_tools", where
            if top == "framework" and target != "framework.__version__":
                if file.name == "__init__.py" and target.startswith(f"{name}."):
                    continue
                mine, theirs = room(name), room(target)
                below = LEVELS[theirs] < LEVELS[mine] or mine == theirs or (mine, theirs) in ALLOWED_SIBLINGS
                assert below, f"{where}: level {LEVELS[mine]} may not import level {LEVELS[theirs]}"
        if name.startswith("data_tools") and top == "data_tools":
            mine, theirs = room(name), room(target)
            if not (file.name == "__init__.py" and target.startswith(f"{name}.")):
                below = LEVELS[theirs] < LEVELS[mine] or mine == theirs
                assert below, f"{where}: level {LEVELS[mine]} may not import level {LEVELS[theirs]}"
        if name.startswith("data_tools") and top == "framework" and target != "framework.__version__":
            assert inside(target, OF_FRAMEWORK_IN_DATA_TOOLS), where


def test_every_folder_has_a_level() -> None:
    files = [file for top in ("framework", "data_tools") for file in (ROOT / top).rglob("*.py")]
    folders = {module_name(file.parent / "__init__.py") for file in files}
    assert folders <= set(LEVELS)
    assert {name for name in LEVELS if not (ROOT / Path(*name.split("."))).with_suffix(".py").is_file()} == folders


@pytest.mark.parametrize("file", source_files(), ids=module_name)
def test_what_is_imported_of_ours_exists(file: Path) -> None:
    for target, line in imports_of(file):
        if target.split(".")[0] in TOP:
            module = ROOT / Path(*target.split("."))
            above = module.parent
            there = module.with_suffix(".py"), module / "__init__.py", above.with_suffix(".py"), above / "__init__.py"
            assert any(is_there(path) for path in there), f"{file.relative_to(ROOT)}:{line} imports {target}"


@pytest.mark.parametrize("file", product_files(), ids=module_name)
def test_a_library_lives_in_its_room(file: Path) -> None:
    name = module_name(file)
    for target, line in imports_of(file):
        for library, rooms in LIBRARY_ROOMS.items():
            if target == library or target.startswith(library + "."):
                assert inside(name, rooms), f"{file.relative_to(ROOT)}:{line} imports {target}; only {rooms} may"


@pytest.mark.parametrize("file", source_files(), ids=module_name)
def test_every_console_is_one_without_markup(file: Path) -> None:
    """A name such as ``[red]:x:`` is printed letter by letter only by consoles of ``framework.terminal``."""
    if inside(module_name(file), ("framework.terminal", "tests")):
        return
    calls = [node for node in nodes_of(file) if isinstance(node, ast.Call)]
    made = [node.lineno for node in calls if isinstance(node.func, ast.Name) and node.func.id == "Console"]
    assert not made, f"{file.relative_to(ROOT)}:{made}: make it with framework.terminal.Terminal"


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports for types alone count too; the faces of folders, their ``__init__``, may show what imports them."""
    names = {module_name(file): file for file in product_files() if file.name != "__init__.py"}
    waiting = {}
    for name, file in names.items():
        targets = {target for target, _ in imports_of(file)}
        waiting[name] = ({*targets, *(target.rpartition(".")[0] for target in targets)} & set(names)) - {name}
    while free := [name for name, targets in waiting.items() if not targets & set(waiting)]:
        for name in free:
            del waiting[name]
    assert not waiting, f"these import each other: {sorted(waiting)}"


def test_the_callback_of_progress_is_declared_once() -> None:
    declared = [module_name(file) for file in product_files() if "Callable[[str, int, int], None]" in text_of(file)]
    assert declared == ["framework.progress"]


@pytest.mark.parametrize("file", product_files(), ids=module_name)
def test_no_import_hides_inside_a_function(file: Path) -> None:
    for node in nodes_of(file):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            for target, line in imports(tuple(ast.walk(node))):
                assert target.split(".")[0] in OPTIONAL, (
                    f"{file.relative_to(ROOT)}:{line} imports {target} in a function"
                )


@pytest.mark.parametrize("file", source_files(), ids=module_name)
def test_no_room_is_a_drawer(file: Path) -> None:
    assert not BANNED_NAMES & set(module_name(file).split(".")), f"{file}: name the room after what it holds"


def test_the_rules_see_a_violation(tmp_path: Path) -> None:
    tree = ast.parse("from framework.run import fit\nimport torch.distributed as d\n")
    assert imports(tuple(ast.walk(tree))) == [("framework.run.fit", 1), ("torch.distributed", 2)]
    assert room("framework.run.train.fit") == "framework.run.train"
    assert LEVELS[room("framework.data.plan")] < LEVELS[room("framework.data.loading.loader")]
    assert not inside("framework.data.dataset", OF_FRAMEWORK_IN_DATA_TOOLS)
