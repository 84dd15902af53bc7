"""The rooms of ARCHITECTURE.md: who may import whom, and which libraries live where."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from architecture.sources import ROOT, TOP, described, product_files, source, source_files

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


def may_import(name: str, target: str, *, face: bool) -> str:
    """What is wrong with module ``name``, an ``__init__`` if it is a ``face``, importing ``target``; empty: nothing."""
    top, own = target.split(".")[0], name.split(".")[0]
    if top in ("tests", "benchmarks"):
        return "the product does not know them"
    if top == "experiments" and own != "experiments":
        return "experiments are for experiments alone"
    if top == "wellstream" and own not in ("wellstream", "launch"):
        return "the face is for users alone"
    if top == "launch" and not inside(name, ("launch", "experiments", "wellstream.__main__")):
        return "commands are for the command line alone"
    if own == "framework" and top == "data_tools":
        return "framework stands below data_tools"
    if target == "framework.__version__" or own not in ("framework", "data_tools"):
        return ""
    if own == "data_tools" and top == "framework":
        return "" if inside(target, OF_FRAMEWORK_IN_DATA_TOOLS) else "data_tools may not know this part of framework"
    if top != own or (face and target.startswith(f"{name}.")):
        return ""
    mine, theirs = room(name), room(target)
    below = LEVELS[theirs] < LEVELS[mine] or mine == theirs or (mine, theirs) in ALLOWED_SIBLINGS
    return "" if below else f"level {LEVELS[mine]} may not import level {LEVELS[theirs]}"


def all_imports(files: tuple[Path, ...]) -> Iterator[tuple[Path, str, str]]:
    """File, what it imports, and both in words with the line."""
    for file in files:
        for target, line in source(file).imports:
            yield file, target, f"{file.relative_to(ROOT)}:{line} imports {target}"


def test_a_room_imports_lower_levels_only() -> None:
    wrong = []
    for file, target, said in all_imports(product_files()):
        if why := may_import(module_name(file), target, face=file.name == "__init__.py"):
            wrong.append(f"{said}: {why}")
    assert not wrong


def test_every_folder_has_a_level() -> None:
    files = [file for top in ("framework", "data_tools") for file in (ROOT / top).rglob("*.py")]
    folders = {module_name(file.parent / "__init__.py") for file in files}
    assert folders <= set(LEVELS)
    assert {name for name in LEVELS if not (ROOT / Path(*name.split("."))).with_suffix(".py").is_file()} == folders


def test_what_is_imported_of_ours_exists() -> None:
    there = {file.with_suffix("") if file.name != "__init__.py" else file.parent for file in source_files()}
    wrong = []
    for _, target, said in all_imports(source_files()):
        place = ROOT / Path(*target.split("."))
        if target.split(".")[0] in TOP and not {place, place.parent} & there:
            wrong.append(said)
    assert not wrong


def test_a_library_lives_in_its_room() -> None:
    wrong = [
        f"{said}; only {rooms} may"
        for file, target, said in all_imports(product_files())
        for library, rooms in LIBRARY_ROOMS.items()
        if inside(target, (library,)) and not inside(module_name(file), rooms)
    ]
    assert not wrong


def test_every_console_is_one_without_markup() -> None:
    """A name such as ``[red]:x:`` is printed letter by letter only by consoles of ``framework.terminal``."""
    free = ("framework.terminal", "tests")
    wrong = [
        f"{file.relative_to(ROOT)}:{line}"
        for file in source_files()
        for line in source(file).consoles
        if not inside(module_name(file), free)
    ]
    assert not wrong, "make it with framework.terminal.Terminal"


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports for types alone count too; the faces of folders, their ``__init__``, may show what imports them."""
    names = {module_name(file): file for file in product_files() if file.name != "__init__.py"}
    waiting = {}
    for name, file in names.items():
        targets = {target for target, _ in source(file).imports}
        waiting[name] = ({*targets, *(target.rpartition(".")[0] for target in targets)} & set(names)) - {name}
    while free := [name for name, targets in waiting.items() if not targets & set(waiting)]:
        for name in free:
            del waiting[name]
    assert not waiting, f"these import each other: {sorted(waiting)}"


def test_the_callback_of_progress_is_declared_once() -> None:
    declared = [module_name(file) for file in product_files() if "Callable[[str, int, int], None]" in file.read_text()]
    assert declared == ["framework.progress"]


def test_no_import_hides_inside_a_function() -> None:
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {target} in a function"
        for file in product_files()
        for target, line in source(file).hidden_imports
        if target.split(".")[0] not in OPTIONAL
    ]
    assert not wrong


def test_no_room_is_a_drawer() -> None:
    wrong = [file for file in source_files() if BANNED_NAMES & set(module_name(file).split("."))]
    assert not wrong, "name the room after what it holds"


@pytest.mark.parametrize(
    ("name", "target", "right"),
    [
        ("framework.run.train.fit", "framework.trainer.loop", True),
        ("framework.data.store", "framework.run", False),
        ("framework.run", "framework.run.train.fit", True),
        ("framework.run", "data_tools.pipeline", False),
        ("data_tools.pipeline.entry", "framework.data.dataset", False),
        ("data_tools.pipeline.entry", "framework.config", True),
        ("data_tools.wells", "data_tools.pipeline", False),
        ("launch.train", "wellstream", True),
        ("framework.errors", "wellstream", False),
        ("framework.errors", "launch.show", False),
        ("data_tools.wells", "experiments.demo", False),
        ("launch.train", "tests.fixtures", False),
    ],
)
def test_the_rule_of_levels_sees_a_violation(name: str, target: str, *, right: bool) -> None:
    assert (may_import(name, target, face=name == "framework.run") == "") == right


def test_the_rules_see_what_is_imported_where() -> None:
    found = described(
        "from framework.run import fit\nimport torch.distributed as d\ndef f():\n    import x\nConsole()\n"
    )
    assert found.imports == (("framework.run.fit", 1), ("torch.distributed", 2), ("x", 4))
    assert found.hidden_imports == (("x", 4),)
    assert found.consoles == (5,)
