"""
The export of metrics as self-contained folders, each of which is a Space of the Hugging Face Hub: `evaluate.load` of
such a Space needs neither this package nor its dependencies.
"""

import ast
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from string import Template

from . import available, metric_folder


_PACKAGE = __package__
_FOLDER = Path(__file__).parent
# The packages that Spaces may require beside evaluate and datasets, by the name of the import.
_PACKAGES = {"mauve": "mauve-text", "numpy": "numpy", "torch": "torch", "transformers": "transformers"}


def export_metrics(
    output_dir: str | PathLike, names: Iterable[str] | None = None, overwrite: bool = False
) -> list[Path]:
    """
    Writes metrics as folders that hold all that they need.

    Each folder has the module, the shared files that it needs, the card (`README.md`), a web form (`app.py`) and
    `requirements.txt`.

    Args:
        output_dir (`str` or `PathLike`):
            Where the folders are created, one with the name of each metric.
        names (`Iterable[str]`, *optional*):
            The metrics; by default all of [`available`].
        overwrite (`bool`, *optional*, defaults to `False`):
            Whether files of the same names in existing folders are replaced. Other files there stay.

    Returns:
        `list[Path]`: The folders.

    Raises:
        `ValueError`: If there is no metric of a name, or a folder exists and is not empty.
        `NotADirectoryError`: If a folder exists as a file.
    """
    names = available() if names is None else list(dict.fromkeys(names))
    files = {Path(output_dir) / name: _space_files(name) for name in names}
    for folder in files:
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"{folder} is a file; use another folder.")
        if not overwrite and folder.is_dir() and any(folder.iterdir()):
            raise ValueError(f"{folder} exists and is not empty; use another folder, or overwrite it.")
    for folder, contents in files.items():
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in contents.items():
            (folder / name).write_text(text, encoding="utf-8")
    return list(files)


def _space_files(name: str) -> dict[str, str]:
    """Returns the contents of the files of a Space by their names."""
    folder = metric_folder(name)
    module = (folder / f"{name}.py").read_text(encoding="utf-8")
    direct = _shared_imports(module)
    shared: dict[str, str] = {}
    waiting = list(direct)
    while waiting:
        stem = waiting.pop()
        if stem not in shared:
            shared[stem] = (_FOLDER / f"{stem}.py").read_text(encoding="utf-8")
            waiting += _shared_imports(shared[stem])
    packages = {package for text in (module, *shared.values()) for package in _packages(text)}
    required = [_PACKAGES[package] for package in sorted(packages & _PACKAGES.keys())]
    return {
        "README.md": (folder / "README.md").read_text(encoding="utf-8"),
        f"{name}.py": _with_flat_imports(module, sorted(set(shared) - set(direct))),
        **{f"{stem}.py": text for stem, text in sorted(shared.items())},
        "app.py": _fill("app", metric=name),
        "requirements.txt": _fill("requirements", packages="\n".join(required)),
    }


def _import_nodes(source: str) -> list[ast.ImportFrom]:
    """Returns the statements that import from a shared file, absolute or relative, in the order of their lines."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    return sorted((node for node in nodes if _shared_stem(node) is not None), key=lambda node: node.lineno)


def _shared_stem(node: ast.ImportFrom) -> str | None:
    module = node.module or ""
    if node.level == 1:
        return module
    return module.removeprefix(f"{_PACKAGE}.") if module.startswith(f"{_PACKAGE}.") else None


def _shared_imports(source: str) -> list[str]:
    """Returns the names of the shared files that a file imports, without `.py`."""
    stems = [_shared_stem(node) for node in _import_nodes(source)]
    return list(dict.fromkeys(stem for stem in stems if stem is not None))


def _packages(source: str) -> set[str]:
    """Returns the top-level names of the packages that a file imports."""
    packages = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            packages |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            packages.add(node.module.partition(".")[0])
    return packages


def _with_flat_imports(module: str, indirect: list[str]) -> str:
    """
    Returns a module whose imports of shared files are relative.

    evaluate copies only the files that the module itself imports, and reads a comment behind an import as an address.
    So the files in `indirect`, which only shared files import, are imported as well, without comments.
    """
    lines = module.splitlines(keepends=True)
    nodes = _import_nodes(module)
    for node in nodes:
        lines[node.lineno - 1] = lines[node.lineno - 1].replace(f"from {node.module} ", f"from .{_shared_stem(node)} ")
    lines[nodes[-1].end_lineno : nodes[-1].end_lineno] = [
        f"from .{stem} import __name__ as _{stem}\n" for stem in indirect
    ]
    return "".join(lines)


def _fill(name: str, **values: str) -> str:
    text = (_FOLDER / "templates" / f"{name}_template.txt").read_text(encoding="utf-8")
    return Template(text).substitute(values)


__all__ = ["export_metrics"]
