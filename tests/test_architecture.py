"""The layers of the package, and the things that none of its files does."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hf_textgan
from hf_textgan.objectives import OBJECTIVES
from hf_textgan.systems import SYSTEMS


ROOT = Path(__file__).parent.parent
PACKAGE = Path(hf_textgan.__file__).parent

# A layer imports itself and those above it; trainer and systems stand side by side.
LAYERS = [
    {"utils"},
    {"models"},
    {"metrics"},
    {"sampling"},
    {"losses"},
    {"data"},
    {"core"},
    {"objectives"},
    {"evaluation"},
    {"trainer", "systems"},
    {"runs"},
    {"comparison"},
    {"studies"},
    {"cli"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
# Layers that import nothing of the package but themselves: their files are copied to the Hub.
INDEPENDENT = {"utils", "models", "metrics"}
MAX_LINES = 700
TABLES = {"hf_textgan/data/caption_grammar.py"}  # data, and not code


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def imports(source: str, module: str) -> Iterator[tuple[int, str]]:
    """Line and absolute name of everything that a module imports, under TYPE_CHECKING and in functions too."""
    package = module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{prefix}.{alias.name}") for alias in node.names)


def module_of(path: Path) -> str:
    relative = path.relative_to(ROOT).with_suffix("")
    return ".".join(relative.parts)  # of a package: its __init__, so that relative imports resolve


def layer_of(name: str) -> str | None:
    parts = name.split(".")
    return parts[1] if parts[0] == "hf_textgan" and len(parts) > 1 and parts[1] in LEVEL else None


def broken_layers(source: str, module: str) -> list[str]:
    layer = layer_of(module)
    broken = []
    for line, name in imports(source, module):
        other = layer_of(name)
        if layer is None or other is None or other == layer:
            continue
        if LEVEL[other] >= LEVEL[layer] or layer in INDEPENDENT:
            broken.append(f"{module}:{line} imports {name}")
    return broken


def test_every_file_belongs_to_a_layer():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(LEVEL)
    assert [path.name for path in PACKAGE.glob("*.py")] == ["__init__.py"]


@pytest.mark.parametrize("path", sources("hf_textgan"), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_layer_imports_only_the_layers_above_it(path):
    assert not broken_layers(path.read_text(encoding="utf-8"), module_of(path))


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("hf_textgan.core.step", "from ..trainer.plots import draw_curves", True),
        ("hf_textgan.core.step", "from ..sampling import RolloutEngine", False),
        ("hf_textgan.trainer.plots", "from ..systems import SYSTEMS", True),
        ("hf_textgan.systems.spec", "from ..trainer.adversarial_config import AdversarialConfig", True),
        ("hf_textgan.models.modeling_outputs", "from ..utils.names import unknown_name", True),
        ("hf_textgan.runs.build", "def f():\n    from ..cli.errors import UserError", True),
        ("hf_textgan.core.step", "if TYPE_CHECKING:\n    from ..trainer.plots import draw_curves", True),
        ("hf_textgan.data.lines", "import hf_textgan.objectives.mle", True),
    ],
)
def test_the_check_of_the_layers_sees_one_wrong_line(module, line, broken):
    assert bool(broken_layers(f"import torch\n{line}\n", module)) is broken


def test_benchmarks_and_examples_import_no_command():
    for path in sources("benchmarks", "examples"):
        if path.name.startswith("train_"):
            continue  # the scripts of `accelerate launch` are the command
        names = [name for _, name in imports(path.read_text(encoding="utf-8"), module_of(path))]
        assert not [name for name in names if name.startswith("hf_textgan.cli")], path


def test_only_trainer_runs_and_cli_use_the_trainer():
    for path in sources("hf_textgan"):
        if layer_of(module_of(path)) in ("trainer", "runs", "comparison", "studies", "cli"):
            continue
        names = {name for _, name in imports(path.read_text(encoding="utf-8"), module_of(path))}
        assert not names & {"transformers.Trainer", "transformers.trainer.Trainer"}, path


def strings(path: Path) -> list[str]:
    """The string constants of a file that are no docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return [node.value for node in constants if id(node) not in docstrings]


def test_the_trainer_knows_no_system_and_no_metric_of_an_objective():
    patterns = {pattern for objective in OBJECTIVES.values() for keys in objective.panels.values() for pattern in keys}
    keys = {pattern for pattern in patterns if "*" not in pattern and pattern != "generator/loss"}
    assert keys, "the objectives have panels"
    for path in sources("hf_textgan/trainer"):
        found = set(strings(path))
        assert not found & keys, path
        assert not found & set(SYSTEMS), path


def test_what_a_user_names_is_loaded_without_running_its_code():
    for path in sources("hf_textgan"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr == "from_pretrained" and "Auto" in ast.unparse(node.func.value):
                options = {keyword.arg for keyword in node.keywords}
                assert "trust_remote_code" in options, f"{path}:{node.lineno}"


def test_no_symbolic_links_and_no_long_files():
    for path in ROOT.joinpath("hf_textgan").rglob("*"):
        assert not path.is_symlink(), path
    for path in sources("hf_textgan", "tests", "benchmarks", "examples"):
        name = path.relative_to(ROOT).as_posix()
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= MAX_LINES or name in TABLES, f"{name} has {lines} lines"


def python(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def test_help_and_tables_need_neither_torch_nor_transformers():
    code = (
        "import sys; from hf_textgan.cli.main import main; main(['systems']); main(['--help']); main(['train']); "
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert python(code).splitlines()[-1] == "[]"


AUTO_CONFIG = "AutoConfig.for_model('textgan_recurrent').__class__.__name__"


@pytest.mark.parametrize(
    "order",
    [
        "import hf_textgan; from transformers import AutoConfig",
        # Each of the others takes seconds to import the same.
        pytest.param("from transformers import AutoConfig; import hf_textgan", marks=pytest.mark.slow),
        pytest.param("import hf_textgan, transformers; AutoConfig = transformers.AutoConfig", marks=pytest.mark.slow),
        pytest.param("import hf_textgan.cli.main; from transformers import AutoConfig", marks=pytest.mark.slow),
    ],
)
def test_models_are_registered_in_whatever_order_things_are_imported(order):
    assert python(f"{order}; print({AUTO_CONFIG})").split() == ["RecurrentGeneratorConfig"]


@pytest.mark.slow
def test_models_are_registered_for_a_script_called_textgan(tmp_path):
    script = tmp_path / "textgan.py"
    script.write_text(f"import hf_textgan\nfrom transformers import AutoConfig\nprint({AUTO_CONFIG})\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["RecurrentGeneratorConfig"]
