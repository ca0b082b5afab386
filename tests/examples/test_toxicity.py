"""The example of a classifier of texts: it says what it needs, and finds what is known of the model."""

import importlib.util
import sys
from pathlib import Path

import pytest

from fairwitness.audit.cli import main
from fairwitness.audit.errors import UserError
from fairwitness.audit.evidence import Evidence
from fairwitness.examples.toxicity import source

PLAN = Path(__file__).parents[2] / "examples" / "toxicity" / "audit.toml"
CHECK = "bias.counterfactual_text"
THERE = importlib.util.find_spec("profanity_check") is not None


def test_comments_are_half_rude_and_all_different() -> None:
    table = source.comments()
    assert table["toxic"].mean() == 0.5
    assert table["comment"].is_unique
    assert table.groupby("length")["toxic"].nunique().tolist() == [2, 2]


def test_without_the_package_the_example_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "profanity_check", None)
    with pytest.raises(UserError, match=r"pip install alt-profanity-check==1\.9\.1"):
        source.toxicity(source.comments())
    with pytest.raises(SystemExit) as done:
        main(["run", str(PLAN), "-o", str(tmp_path)])
    said = capsys.readouterr().err.strip()
    assert done.value.code == 2
    assert "pip install alt-profanity-check==1.9.1" in " ".join(said.split())


@pytest.mark.skipif(not THERE, reason="the example's model is not installed: pip install alt-profanity-check==1.9.1")
def test_the_model_calls_one_group_toxic_for_its_name(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as done:
        main(["run", str(PLAN), "-o", str(tmp_path)])
    evidence = Evidence.model_validate_json((tmp_path / "evidence.json").read_bytes())
    assert done.value.code == evidence.exit_code == 1
    rate = {
        term: evidence.find(
            f"{CHECK}.template_positive_rate", axis="sexual orientation", label="harmless", term=term
        ).value
        for term in ("gay", "lesbian", "straight", "bisexual")
    }
    gay = rate.pop("gay")
    assert gay is not None
    assert gay > 0.3
    assert all(value is not None and value < 0.1 for value in rate.values())
    verdicts = {gate.where.get("axis", ""): gate.verdict for gate in evidence.gates if "difference" in gate.metric}
    assert verdicts == {"sexual orientation": "fail", "religion": "pass"}
