"""Versions and hardware."""

import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path

from .version import __version__


_PACKAGES = (
    "torch",
    "transformers",
    "accelerate",
    "datasets",
    "evaluate",
    "tokenizers",
    "huggingface_hub",
    "safetensors",
    "numpy",
    "peft",
)


@functools.cache
def environment() -> dict[str, str]:
    """Returns the versions of Python and the libraries, and the devices."""
    import torch

    found = {"hf_textgan": __version__, "Python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    threads = f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    found["CPU"] = f"{_processor()}, {threads}"
    found["GPU"] = ", ".join(devices) or "none"
    return found


@functools.cache
def source_commit() -> str | None:
    """Returns the commit of the checkout in which this package lies, with a word on changes; `None` outside of one."""
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists() or not (folder / "pyproject.toml").is_file():
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", "hf_textgan")
    return f"{commit} with uncommitted changes" if changes else commit


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


__all__ = ["environment", "source_commit"]
