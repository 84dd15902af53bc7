"""Plugins: code that adds entries to registries, loaded before a config is checked.

``plugins: [mylab]`` names an entry point of an installed package (group ``wellstream.plugins``). ``plugins:
[./my_reader.py]`` names a file or a folder of one's own; it runs only in a process that was allowed to
(``wellstream --allow-code``, or ``permit_code``). What is kept of a file is its absolute path and the SHA-256 of its
code: ``/lab/my_reader.py#sha256=...``.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import logging
import os
import sys
from collections.abc import Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import entry_points
from pathlib import Path, PurePosixPath
from types import CodeType

from framework.errors import ConfigError, did_you_mean, sentence_of

log = logging.getLogger(__name__)

PLUGIN_GROUP = "wellstream.plugins"
"""Entry-point group of packages that register entries when they are loaded."""
CODE_VARIABLE = "WELLSTREAM_ALLOW_CODE"
"""Set by the command line for itself and the processes that it starts."""
_MARK = "#sha256="
_MOST_BYTES = 1 << 24
_MOST_FILES = 1000
_loaded: dict[Path, str] = {}
_names: dict[str, None] = {}


def permit_code() -> None:
    """Let this process, and those that it starts, run plugins that are files."""
    os.environ[CODE_VARIABLE] = "1"


def load_plugins(names: Sequence[str], where: str = "plugins", folder: Path | None = None) -> list[str]:
    """Load plugins; loading one again does nothing.

    Args:
        names: entry points, or files and folders (whatever holds a slash, or ends in ``.py``).
        where: what messages begin with.
        folder: what relative paths begin at; default: the working folder.

    Returns:
        The names as a run folder or dataset keeps them.

    Raises:
        ConfigError: no installed package has such an entry point, no such file, a file without permission, or code that
            fails.
    """
    kept = []
    for name in names:
        kept.append(_load_file(name, where, folder or Path.cwd()) if is_file(name) else _load_point(name, where))
        _names[kept[-1]] = None
    return kept


def loaded_plugins() -> tuple[str, ...]:
    """Return what this process has loaded, as ``load_plugins`` returned it, for processes that work for it."""
    return tuple(_names)


def is_file(name: str) -> bool:
    """Return whether the name of a plugin is that of a file or folder."""
    return "/" in name or os.sep in name or name.partition(_MARK)[0].endswith(".py")


def missing_plugins(names: Sequence[str]) -> list[str]:
    """Load the installed plugins that a dataset was made with; return a sentence about each that is not there.

    A dataset can be read without them, so nothing fails here, and no file is run.
    """
    said = []
    for name in names:
        if is_file(name):
            path, _, recorded = name.partition(_MARK)
            said += _about_file(Path(path), recorded)
            continue
        try:
            _load_point(name, "plugins")
        except ConfigError as error:
            said.append(f"{error}; install the package that offers it to ingest again")
    return said


def _about_file(path: Path, recorded: str) -> list[str]:
    try:
        changed = _digest(_code_of(path)) != recorded
    except (OSError, ConfigError):
        return [f"the plugin {path} is not there any more; put it back to ingest again"]
    return [f"the plugin {path} was changed since this was made with it"] if changed else []


def _load_point(name: str, where: str) -> str:
    found = {point.name: point for point in entry_points(group=PLUGIN_GROUP)}
    if name not in found:
        raise ConfigError(
            f"{where}: no installed package offers the plugin '{name}'; installed: "
            + (", ".join(sorted(found)) or "none")
            + did_you_mean(name, found)
        )
    try:
        found[name].load()
    except Exception as error:
        raise ConfigError(f"{where}: the plugin '{name}' fails while it is loaded: {_told(error)}") from error
    return name


def _load_file(name: str, where: str, folder: Path) -> str:
    text, _, recorded = name.partition(_MARK)
    path = Path(os.path.abspath(folder / Path(text).expanduser()))
    if os.environ.get(CODE_VARIABLE) != "1":
        raise ConfigError(
            f"{where}: '{text}' is code, and a config alone never runs code; if you trust {path}, add --allow-code to "
            "the command"
        )
    try:
        files = _code_of(path)
    except OSError as error:
        told = error.strerror or str(error)
        raise ConfigError(f"{where}: {path}: {told}; expected a .py file, or a folder of them") from None
    digest = _digest(files)
    if recorded and recorded != digest:
        log.warning("%s: %s was changed since it was written here (SHA-256 %s then, %s now)", where, path,
                    recorded[:12], digest[:12])  # fmt: skip
    if _loaded.get(path, digest) != digest:
        raise ConfigError(f"{where}: {path} was changed since this process loaded it; start a new process")
    if path not in _loaded:
        try:
            _run(path, files, digest)
        except Exception as error:
            raise ConfigError(f"{where}: {path} fails while it is loaded: {_told(error)}") from error
        _loaded[path] = digest
    return f"{path}{_MARK}{digest}"


def _code_of(path: Path) -> dict[str, bytes]:
    """Return path below ``path`` -> code: of a file under ``""``, of a folder for each ``.py`` in it and below it."""
    if not path.is_dir():
        return {"": _read(path)}
    found: dict[str, bytes] = {}
    for folder, inside, files in os.walk(path):
        inside[:] = sorted(name for name in inside if not name.startswith(".") and name != "__pycache__")
        for name in sorted(files):
            if name.endswith(".py") and not name.startswith("."):
                file = Path(folder) / name
                found[file.relative_to(path).as_posix()] = _read(file)
            if len(found) > _MOST_FILES:
                raise ConfigError(f"{path}: more than {_MOST_FILES} .py files below it; name the folder of the code")
    if not found:
        raise ConfigError(f"{path}: no .py file in this folder")
    return found


def _read(file: Path) -> bytes:
    if file.exists() and not file.is_file():
        raise ConfigError(f"{file}: not an ordinary file; expected Python code")
    with file.open("rb") as stream:
        code = stream.read(_MOST_BYTES + 1)
    if len(code) > _MOST_BYTES:
        raise ConfigError(f"{file}: more than {_MOST_BYTES} bytes; expected Python code")
    return code


def _digest(files: dict[str, bytes]) -> str:
    """Return the SHA-256 of a file, or of the paths and digests of a folder's files."""
    if list(files) == [""]:
        return hashlib.sha256(files[""]).hexdigest()
    lines = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


class _Code(InspectLoader):
    """Runs the bytes whose digest was taken, not what the file may hold a moment later."""

    def __init__(self, file: Path, code: bytes) -> None:
        self._file, self._code = file, code

    def get_source(self, fullname: str) -> str:
        return self._code.decode("utf-8")

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self._code, str(self._file))


class _Finder(MetaPathFinder):
    """Finds the modules of plugins, which see each other and nothing else of their folder."""

    def __init__(self) -> None:
        self.modules: dict[str, tuple[Path, bytes, bool]] = {}

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if fullname not in self.modules:
            return None
        file, code, is_package = self.modules[fullname]
        spec = importlib.util.spec_from_loader(fullname, _Code(file, code), origin=str(file), is_package=is_package)
        if spec is not None:
            spec.has_location = True
        return spec


_finder = _Finder()


def _run(path: Path, files: dict[str, bytes], digest: str) -> None:
    """Import the code under a name made of its path's and its digest; the modules of a folder see each other."""
    root = f"plugin_{path.stem.replace('-', '_')}_{digest[:12]}"
    modules = _modules(root, path, files)
    if _finder not in sys.meta_path:
        sys.meta_path.append(_finder)
    _finder.modules |= modules
    try:
        for name in modules:
            importlib.import_module(name)
    except BaseException:
        for name in modules:
            _finder.modules.pop(name, None)
            sys.modules.pop(name, None)
        raise


def _modules(root: str, path: Path, files: dict[str, bytes]) -> dict[str, tuple[Path, bytes, bool]]:
    """Return name -> (file, code, whether it is a package) of all modules, packages first."""
    if list(files) == [""]:
        return {root: (path, files[""], False)}
    found: dict[str, tuple[Path, bytes, bool]] = {root: (path / "__init__.py", files.get("__init__.py", b""), True)}
    for name in sorted(files):
        *folders, last = PurePosixPath(name).with_suffix("").parts
        for depth in range(1, len(folders) + 1):
            package = "/".join((*folders[:depth], "__init__.py"))
            found.setdefault(".".join((root, *folders[:depth])), (path / package, files.get(package, b""), True))
        if last != "__init__":
            found[".".join((root, *folders, last))] = (path / name, files[name], False)
    return found


def _told(error: Exception) -> str:
    at, line = error.__traceback__, None
    while at is not None:
        line = f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}"
        at = at.tb_next
    return f"{type(error).__name__}: {sentence_of(error)}" + (f" ({line})" if line else "")
