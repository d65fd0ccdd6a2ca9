"""
The files of a trained system for the Hub: what of a folder goes there, and the code that a stranger needs.

A folder of a run also holds checkpoints, logs and whatever its owner puts there, so the files are named one by one.
The configurations get an `auto_map`, and the code of the models of all players lies beside them at the root, where
transformers looks for it, whatever the subfolder of the player.
"""

import inspect
import json
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedTokenizerBase
from transformers.dynamic_module_utils import get_relative_import_files

from .. import models
from ..models import MODELS
from ..sampling.download import check_model_folder
from ..utils.files import read_object
from ..utils.names import is_hub_name
from ..utils.version import __version__


CARD_FILE = "README.md"
RUN_FILES = ("metrics.json", "samples.txt", "curves.png")
_CONFIG, _TOKENIZER_CONFIG, _ADAPTER_CONFIG = "config.json", "tokenizer_config.json", "adapter_config.json"
_WEIGHTS = re.compile(r"(adapter_)?model(-\d{5}-of-\d{5})?\.safetensors")
_MODEL_FILE = re.compile(
    rf"{_WEIGHTS.pattern}|model\.safetensors\.index\.json|config\.json|adapter_config\.json|generation_config\.json"
    r"|tokenizer\.json|tokenizer_config\.json|special_tokens_map\.json|added_tokens\.json|chat_template\.jinja"
    r"|vocab\.(json|txt)|merges\.txt|spiece\.model|sentencepiece\.bpe\.model|tokenizer\.model"
)
_CODE_FILE = re.compile(r"(configuration|modeling|tokenization)_\w+\.py")


def write_repository(folder: Path, target: Path, players: Iterable[str] = (), run_folder: Path | None = None) -> None:
    """
    Writes the files of a trained system for the Hub into a new folder. Weights are linked where the file system can.

    Args:
        folder (`Path`):
            The folder with the generator; the other players lie in subfolders.
        target (`Path`):
            The new folder; its parent is there.
        players (`Iterable[str]`, *optional*):
            The names of subfolders that hold a player; those that are not there are left out.
        run_folder (`Path`, *optional*):
            Where metrics, samples and curves lie; by default in `folder`.

    Raises:
        `ValueError`: If there is no model, or others could not load it.
    """
    check_model_folder(folder)
    target.mkdir()
    code: set[Path] = set()
    for subfolder in (".", *(name for name in sorted(set(players)) if (folder / name).is_dir())):
        if subfolder != ".":
            check_model_folder(folder / subfolder)
        (target / subfolder).mkdir(exist_ok=True)
        for path in sorted((folder / subfolder).iterdir()):
            if path.is_file() and _MODEL_FILE.fullmatch(path.name):
                code |= _write_model_file(path, target / subfolder / path.name)
    for path in sorted(code):
        (target / path.name).write_text(_code_header() + path.read_text(encoding="utf-8"), encoding="utf-8")
    for name in RUN_FILES:
        if (path := (run_folder or folder) / name).is_file():
            shutil.copyfile(path, target / name)
    if (folder / CARD_FILE).is_file():
        shutil.copyfile(folder / CARD_FILE, target / CARD_FILE)


def is_repository_file(path: str, players: Iterable[str]) -> bool:
    """Returns whether [`write_repository`] writes files of this name, so that a stale one can go."""
    folder, _, name = path.rpartition("/")
    if folder:
        return folder in players and _MODEL_FILE.fullmatch(name) is not None
    return any(pattern.fullmatch(name) for pattern in (_MODEL_FILE, _CODE_FILE)) or name in RUN_FILES


def _write_model_file(path: Path, target: Path) -> set[Path]:
    """Writes one file of a model and returns the files of code that it needs."""
    classes: dict[str, Any] = {}
    if path.name == _CONFIG:
        classes = auto_classes_of(read_object(path).get("model_type"))
    elif path.name == _TOKENIZER_CONFIG:
        own_class = getattr(models, str(read_object(path).get("tokenizer_class")), None)
        if inspect.isclass(own_class) and issubclass(own_class, PreTrainedTokenizerBase):
            classes = {AutoTokenizer.__name__: own_class}
    elif path.name == _ADAPTER_CONFIG:
        _check_base_model(path)
    if classes:
        _write_auto_map(path, target, classes)
    else:
        _link_or_copy(path, target)
    files = {Path(inspect.getfile(own_class)) for own_class in classes.values()}
    return files | {Path(needed) for file in files for needed in get_relative_import_files(file)}


def auto_classes_of(model_type: str | None) -> dict[str, Any]:
    """Returns the classes of this library for a type of model by the names of their Auto classes, as registered."""
    classes: dict[str, Any] = {}
    for model_class, auto_classes in MODELS.items():
        config_class: Any = model_class.config_class
        if config_class.model_type == model_type:
            classes[AutoConfig.__name__] = config_class
            classes.update({auto_class.__name__: model_class for auto_class in (AutoModel, *auto_classes)})
    return classes


def _write_auto_map(path: Path, target: Path, classes: dict[str, Any]) -> None:
    references = {name: f"{Path(inspect.getfile(value)).stem}.{value.__name__}" for name, value in classes.items()}
    # Of a tokenizer the Auto class wants the slow class and the fast one.
    auto_map = {name: [None, value] if name == AutoTokenizer.__name__ else value for name, value in references.items()}
    content = {**read_object(path), "auto_map": auto_map}
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    target.write_text(text, encoding="utf-8")


def _check_base_model(path: Path) -> None:
    base = str(read_object(path).get("base_model_name_or_path") or "")
    if not is_hub_name(base):
        raise ValueError(
            f"The adapter in {path.parent} belongs to the base model {base!r}, which nobody else can load by that "
            f"name; push the base model and write its name as base_model_name_or_path into {path}."
        )


def _code_header() -> str:
    return (
        f"# Code of hf_textgan {__version__}. With that package, `import hf_textgan` loads this model without running "
        "this file.\n"
    )


def _link_or_copy(path: Path, target: Path) -> None:
    """Makes `target` the content that `path` has now: the files of this library are replaced and never rewritten."""
    try:
        os.link(path.resolve(), target)
    except OSError:
        shutil.copyfile(path, target)


__all__ = [
    "CARD_FILE",
    "auto_classes_of",
    "is_repository_file",
    "write_repository",
]
