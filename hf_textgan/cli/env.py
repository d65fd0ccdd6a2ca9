"""`textgan env`: versions and hardware, for a report of a fault."""

import argparse
import importlib.metadata
import platform

import torch

from ..utils.version import __version__


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


def main(argv: list[str]) -> int:
    """Prints the environment; see `textgan env --help`."""
    argparse.ArgumentParser(
        prog="textgan env", description="Prints versions and hardware, for a report of a fault.", allow_abbrev=False
    ).parse_args(argv)
    for name, value in environment().items():
        print(f"- {name}: {value}")
    return 0


def environment() -> dict[str, str]:
    """Returns the versions of Python and the libraries, and the devices."""
    found = {"hf_textgan": __version__, "Python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    found["CPU"] = f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    found["GPU"] = ", ".join(devices) or "none"
    return found
