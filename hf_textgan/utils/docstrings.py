"""Descriptions of arguments, read from docstrings."""

import inspect
import re


def argument_descriptions(cls: type) -> dict[str, str]:
    """
    Returns the description of each argument in the `Args:` sections of a class and its bases, as one line each. A
    subclass overrides its bases.
    """
    descriptions: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        doc = inspect.cleandoc(base.__dict__.get("__doc__") or "")
        section = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", doc, re.M | re.S)
        if section is None:
            continue
        entries = re.findall(r"^    (\w[\w, ]*) \(.*?\):\n((?:^ {8}.*\n?|\n)+)", section.group(1) + "\n", re.M)
        for names, text in entries:
            if text.strip().startswith("See [") and all(name.strip() in descriptions for name in names.split(",")):
                continue  # a pointer to the base
            for name in names.split(","):
                descriptions[name.strip()] = " ".join(text.split())
    return descriptions


__all__ = ["argument_descriptions"]
