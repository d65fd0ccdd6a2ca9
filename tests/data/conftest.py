"""Fixtures of the tests of data."""

import pytest


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of its own for a test; the folder of the package in it."""
    folder = tmp_path / "cache"
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", folder)
    return folder / "hf_textgan"
