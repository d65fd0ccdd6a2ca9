"""The record of a run."""

import pytest

from hf_textgan.runs.folder import check_output_dir, read_record


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{}", "its system is None"),
        ("[]", "it holds no JSON object"),
        ('{"system": 5}', "its system is 5"),
        ('{"system": "rnn', "Unterminated string"),
    ],
)
def test_a_damaged_record_is_told(tmp_path, content, reason):
    (tmp_path / "textgan.json").write_text(content)
    for read in (lambda: read_record(tmp_path / "checkpoint-3"), lambda: check_output_dir(tmp_path, "rnnlm", True)):
        with pytest.raises(ValueError, match=f"textgan.json is damaged .*{reason}.*; restore it, or use another f"):
            read()
