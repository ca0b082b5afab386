"""A bad plan ends with one line that names file, key, what was expected and the nearest valid name."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fairwitness.audit import Plan, UserError, run
from fairwitness.audit.cli import main
from fairwitness.audit.plan import gate_id

ROWS = 120
MODEL = 'adapter = "logged"\nprediction = "yhat"'
DATA = 'path = "test.parquet"\ntarget = "y"\nsensitive = ["sex", "race"]'
GAP = "fairness.group.demographic_parity_difference"


def plan(more: str = "", *, model: str = MODEL, data: str = DATA) -> str:
    few = "" if "[checks" in more else '[checks]\nselect = ["performance", "fairness.group"]'
    return f"[model]\n{model}\n[data]\n{data}\n{few}\n{dedent(more)}"


def table() -> pa.Table:
    rng = np.random.default_rng(0)
    return pa.table(
        {
            "sex": rng.choice(["F", "M"], ROWS),
            "race": rng.choice(["a", "b"], ROWS),
            "age": rng.integers(18, 80, ROWS),
            "y": rng.integers(0, 2, ROWS),
            "yhat": rng.integers(0, 2, ROWS),
            "score": rng.random(ROWS),
        }
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pq.write_table(table(), tmp_path / "test.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refusal(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a plan that must be refused, and give the one line that says why."""

    def refused(text: str | bytes | None, name: str = "audit.toml") -> str:
        if text is not None:
            (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
        before = sorted(folder.rglob("*"))
        with pytest.raises(SystemExit) as stopped:
            main(["run", name, "-o", "out"])
        said = capsys.readouterr()
        assert stopped.value.code == 2
        assert sorted(folder.rglob("*")) == before
        assert said.out == ""
        assert said.err.startswith("fairwitness: ")
        assert said.err.count("\n") == 1, said.err
        return said.err

    return refused


def gate(**keys: str) -> str:
    given = {"metric": f'"{GAP}"', "max": "0.1"} | keys
    return "[[gates]]\n" + "".join(f"{key} = {value}\n" for key, value in given.items() if value)


def test_the_plan_that_the_others_break_is_a_good_one(folder: Path) -> None:
    (folder / "audit.toml").write_text(plan(gate(max="1.0")))
    assert run("audit.toml").exit_code == 0


class TestFile:
    def test_missing_file_names_the_plans_beside_it(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (folder / "credit.toml").write_text(plan())
        with pytest.raises(SystemExit) as stopped:
            main(["run", "audit.toml", "-o", "out"])
        error = capsys.readouterr().err
        assert stopped.value.code == 2
        assert error.count("\n") == 1
        assert "audit.toml: no such file" in error
        assert "credit.toml" in error

    def test_missing_file_in_an_empty_folder_names_init(self, refusal: Callable[..., str]) -> None:
        assert "fairwitness init" in refusal(None, "nowhere.toml")

    def test_folder(self, folder: Path, refusal: Callable[..., str]) -> None:
        (folder / "plans").mkdir()
        assert "plans: cannot be read as a TOML file" in refusal(None, "plans")

    def test_not_toml(self, refusal: Callable[..., str]) -> None:
        assert "audit.toml: not TOML" in refusal('[model]\nadapter = "logged')

    def test_not_utf8(self, refusal: Callable[..., str]) -> None:
        assert "audit.toml: cannot be read as a TOML file" in refusal(plan().encode() + b'# \xff\xfe "\n')

    def test_empty_file(self, refusal: Callable[..., str]) -> None:
        line = refusal("")
        assert "model" in line
        assert "is required" in line

    def test_messages_about_a_plan_without_the_toml_ending_still_separate_file_and_key(
        self, refusal: Callable[..., str]
    ) -> None:
        assert "plan.txt: data.targt" in refusal(plan(data=DATA.replace("target", "targt")), "plan.txt")


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        pytest.param(plan('[gate]\nx = 1'), "gate", "gates", id="top"),
        pytest.param(plan("[audit]\nsed = 1"), "audit.sed", "seed", id="audit"),
        pytest.param(plan(model=MODEL.replace("prediction", "predicton")), "model.predicton", "prediction", id="model"),
        pytest.param(plan(data=DATA.replace("target", "targt")), "data.targt", "target", id="data"),
        pytest.param(plan('[data.train]\npth = "x"'), "data.train.pth", "path", id="data.train"),
        pytest.param(plan('[checks]\nselct = ["fairness"]'), "checks", "select", id="checks"),
        pytest.param(plan(gate(maximum="0.1")), "gates.0.maximum", "max", id="gates"),
        pytest.param(
            plan(gate() + f'[[waivers]]\nid="{GAP}"\nreason="r"\nowner="o"\nexpire=2999-01-01'),
            "waivers.0.expire", "expires", id="waivers",
        ),
        pytest.param(plan("[policy]\nfamilywize = true"), "policy.familywize", "familywise", id="policy"),
        pytest.param(plan('[report]\nformat = ["html"]'), "report.format", "formats", id="report"),
        pytest.param(
            plan('[checks."fairness.group"]\nmin_denom = 3'),
            "checks.fairness.group.min_denom", "min_denominator", id="check option",
        ),
    ],
)  # fmt: skip
def test_unknown_key_is_refused_with_the_nearest_one(
    refusal: Callable[..., str], text: str, key: str, nearest: str
) -> None:
    line = refusal(text)
    assert f"audit.toml: {key}" in line
    assert f"'{nearest}'" in line


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        pytest.param(plan('[audit]\nseed = "0"'), "audit.seed", "integer", id="seed text"),
        pytest.param(plan("[audit]\nseed = -1"), "audit.seed", "greater than or equal to 0", id="seed negative"),
        pytest.param(plan('[audit]\nas_of = "2026-01-01"'), "audit.as_of", "date", id="date as text"),
        pytest.param(plan(model=MODEL.replace('"yhat"', "3")), "model.prediction", "string", id="prediction number"),
        pytest.param(plan(data=DATA.replace('["sex", "race"]', '"sex"')), "data.sensitive", "list", id="one sensitive"),
        pytest.param(plan(data=DATA.replace('"y"', "1")), "data.target", "string", id="target number"),
        pytest.param(plan(data=DATA + "\npositive = [1]"), "data.positive", "", id="positive list"),
        pytest.param(plan(data=DATA + '\ntask = "clustering"'), "data.task", "'binary'", id="task"),
        pytest.param(plan(data=DATA + "\nintersections = true"), "data.intersections", "", id="intersections true"),
        pytest.param(plan(data=DATA + "\nfeatures = [1]"), "data.features.0", "string", id="feature number"),
        pytest.param(plan('[data.bins]\nsex = "a"'), "data.bins.sex", "list", id="edges text"),
        pytest.param(plan("[checks]\nselect = 3"), "checks.select", "list", id="select number"),
        pytest.param(plan('[checks]\n"fairness.group" = 3'), "checks.fairness.group", "table", id="options number"),
        pytest.param(plan(gate(max='"0.1"')), "gates.0.max", "number", id="bound text"),
        pytest.param(plan(gate(max="nan")), "gates.0.max", "finite", id="bound nan"),
        pytest.param(plan(gate(required='"yes"')), "gates.0.required", "boolean", id="required text"),
        pytest.param(plan(gate(on_inconclusive='"ignore"')), "gates.0.on_inconclusive", "'warn'", id="on_inconclusive"),
        pytest.param(plan("[gates]\nmax = 1"), "gates", "list", id="one gate"),
        pytest.param(plan('[policy]\nsmall_groups = "drop"'), "policy.small_groups", "'ignore'", id="small groups"),
        pytest.param(plan('[report]\nformats = "html"'), "report.formats", "list", id="formats text"),
    ],
)
def test_value_of_the_wrong_type_is_refused(refusal: Callable[..., str], text: str, key: str, expected: str) -> None:
    line = refusal(text)
    assert f"audit.toml: {key}: " in line
    assert expected in line


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        pytest.param(plan(model=MODEL.replace("logged", "loged")), "model.adapter", "'logged'", id="adapter"),
        pytest.param(plan('[checks]\nselect = ["fairnes"]'), "checks.select", "'fairness'", id="concern"),
        pytest.param(plan('[checks]\nselect = ["fairness.groups"]'), "checks.select", "'fairness.group'", id="check"),
        pytest.param(plan('[checks."fairness.groop"]\nlevel = 0.9'), "checks", "'fairness.group'", id="options"),
        pytest.param(plan(gate(metric='"fairness.group.acuracy"')), "gates", "'fairness.group.accuracy'", id="metric"),
        pytest.param(plan(gate(attribute='"sexx"')), "gates", "'sex'", id="attribute"),
        pytest.param(plan(gate(attribute='"race & sex"')), "gates", "sex & race", id="intersection order"),
        pytest.param(plan('[report]\nformats = ["htm"]'), "report.formats", "'html'", id="format"),
        pytest.param(plan('[report]\nlocale = "de_DE"'), "", "de_DE", id="locale"),
        pytest.param(plan('[policy]\nextends = ["four-fifth"]'), "policy.extends", "'four-fifths'", id="pack"),
        pytest.param(
            plan(gate() + f'[[waivers]]\nid = "{GAP}s"\nreason = "r"\nowner = "o"\nexpires = 2999-01-01'),
            "waivers", f"'{GAP}'", id="waiver",
        ),
    ],
)  # fmt: skip
def test_unknown_name_is_refused_with_the_nearest_one(
    refusal: Callable[..., str], text: str, key: str, nearest: str
) -> None:
    line = refusal(text)
    assert key in line
    assert nearest in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(plan(gate(max="")), "needs min, max or required", id="no bound"),
        pytest.param(plan(gate(min="0.5", max="0.1")), "min 0.5 above max 0.1", id="min above max"),
        pytest.param(plan(gate() + gate(max="0.2")), f"another gate is called '{GAP}'", id="two of one name"),
        pytest.param(
            plan(gate(id='"g"') + gate(id='"g"', max="0.2")), "another gate is called 'g'", id="two of one id"
        ),
        pytest.param(plan("[checks.fairness.group]\nlevel = 0.9"), '[checks."fairness.group"]', id="unquoted"),
        pytest.param(plan('[checks."fairness.group"]\nlevel = "0.9"'), "fairness.group.level: expected", id="type"),
        pytest.param(plan('[checks."fairness.group"]\nlevel = 0.4'), "fairness.group.level: expected", id="range"),
        pytest.param(plan('[checks."fairness.group"]\nlevel = nan'), "fairness.group.level: expected", id="nan"),
        pytest.param(plan('[checks."fairness.group"]\nmin_denominator = 0'), "min_denominator: expected", id="zero"),
        pytest.param(plan(data=DATA.replace('"race"', '"sex"')), "names 'sex' twice", id="sensitive twice"),
        pytest.param(plan(data=DATA.replace('"race"', '"a & b"')), "rename the column", id="ampersand"),
        pytest.param(plan("[data.reference]\nage = 'a'"), "reference: 'age' is none of", id="strange reference"),
        pytest.param(plan("[data.bins]\nsex = [40, 25]"), "bins.sex: edges must be a rising list", id="falling"),
        pytest.param(plan("[data.bins]\nsex = [40, 40]"), "bins.sex: edges must be a rising list", id="equal edges"),
        pytest.param(plan("[data.bins]\nsex = []"), "bins.sex: edges must be a rising list", id="no edges"),
        pytest.param(plan(data=DATA + '\nintersections = [["sex"]]'), "must be two or more of", id="one crossed"),
        pytest.param(plan(data=DATA + '\nintersections = [["sex", "age"]]'), "must be two or more of", id="crossed"),
        pytest.param(plan(model='adapter = "logged"'), "one of prediction", id="logged without column"),
        pytest.param(plan(model='adapter = "logged"\nthreshold = 0.5'), "needs score", id="threshold without score"),
        pytest.param(plan(model=MODEL + '\nthreshold = 0.5\nscore = "score"'), "one of prediction", id="both rules"),
        pytest.param(plan(data='target = "y"'), "data.path: is required", id="no data path"),
        pytest.param(plan(data=DATA + '\ntask = "multiclass"\npositive = 1'), "data.positive", id="positive of many"),
        pytest.param(plan(data=DATA.replace('target = "y"', 'task = "regression"')), "data.target", id="regression"),
    ],
)
def test_contradiction_is_refused(refusal: Callable[..., str], text: str, said: str) -> None:
    assert said in refusal(text)


@pytest.mark.parametrize("attribute", ['""', '"sex & age"'])
def test_gate_on_an_attribute_that_is_not_compared_is_refused(refusal: Callable[..., str], attribute: str) -> None:
    assert "no attribute" in refusal(plan(gate(attribute=attribute)))


def test_options_of_a_check_that_is_not_selected_are_validated_too(refusal: Callable[..., str]) -> None:
    line = refusal(plan('[checks]\nselect = ["performance"]\n[checks."fairness.group"]\nmin_denom = 3'))
    assert "'min_denominator'" in line


def test_key_of_a_value_with_several_allowed_types_is_the_plans_own_key(refusal: Callable[..., str]) -> None:
    line = refusal(plan(model='adapter = "sklearn"\npath = "m.pkl"\ntrust = 3'))
    assert "audit.toml: model.trust: " in line


def test_pack_that_extends_itself_is_refused(folder: Path, refusal: Callable[..., str]) -> None:
    (folder / "policy.toml").write_text('[policy]\nextends = ["policy.toml"]\n')
    assert "policy.toml" in refusal(plan('[policy]\nextends = ["policy.toml"]'))


def test_mistake_in_a_pack_names_the_packs_file(folder: Path, refusal: Callable[..., str]) -> None:
    (folder / "policy.toml").write_text(gate(maximum="1"))
    line = refusal(plan('[policy]\nextends = ["policy.toml"]'))
    assert "policy.toml: gates.0.maximum" in line


def test_threshold_without_prediction_in_a_regression_is_refused(refusal: Callable[..., str]) -> None:
    model = 'adapter = "logged"\nscore = { "1" = "score" }\nthreshold = 0.5'
    assert "regression" in refusal(plan(model=model, data=DATA + '\ntask = "regression"'))


def test_control_characters_of_a_plan_do_not_reach_the_terminal(refusal: Callable[..., str]) -> None:
    line = refusal(plan(data=DATA.replace('"y"', '"y\\u001b[31m\\nFAKE: all gates pass"')))
    assert "\x1b" not in line


def test_governance_takes_lists_and_tables(folder: Path) -> None:
    (folder / "audit.toml").write_text(plan('[governance]\nusers = ["clerks", "auditors"]\ncontact = { name = "A" }'))
    evidence = run("audit.toml")
    governance = evidence.plan["governance"]
    assert isinstance(governance, dict)
    assert governance["users"] == ["clerks", "auditors"]


def test_governance_takes_dates(folder: Path) -> None:
    (folder / "audit.toml").write_text(plan("[governance]\nreviewed = 2026-11-22"))
    governance = run("audit.toml").plan["governance"]
    assert governance == {"reviewed": "2026-11-22"}


class TestRecord:
    """The plan as it stands in the evidence."""

    def test_defaults_are_written_out(self) -> None:
        record = Plan.parse({"model": {"adapter": "logged", "prediction": "p"}, "data": {"target": "y"}}).record()
        assert record["audit"] == {"name": "audit", "seed": 0, "as_of": None}
        assert record["report"] == {"formats": ["html"], "locale": "en"}
        assert record["model"] == {"adapter": "logged", "prediction": "p"}

    @pytest.mark.parametrize(
        "change", [{"audit": {"seed": 1}}, {"policy": {"familywise": True}}, {"governance": {"a": 1}}]
    )
    def test_digest_changes_with_the_plan(self, change: dict[str, object]) -> None:
        content = {"model": {"adapter": "logged"}, "data": {}}
        assert Plan.parse(content).record()["digest"] != Plan.parse(content | change).record()["digest"]

    def test_digest_does_not_depend_on_the_order_of_keys_or_the_file(self, tmp_path: Path) -> None:
        one, other = tmp_path / "a.toml", tmp_path / "b.toml"
        one.write_text('[model]\nadapter = "logged"\nprediction = "p"\n[data]\ntarget = "y"\npath = "x.csv"\n')
        other.write_text('[data]\npath = "x.csv"\ntarget = "y"\n[model]\nprediction = "p"\nadapter = "logged"\n')
        assert Plan.load(one).record() == Plan.load(other).record()


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("m", None, None, {}), "m"),
        (("m", "sex", None, {}), "m[sex]"),
        (("m", "sex", "F", {}), "m[sex=F]"),
        (("m", None, None, {"class": "2", "attack": "loss"}), "m[attack=loss][class=2]"),
    ],
)
def test_gate_is_named_by_what_it_is_about(
    arguments: tuple[str, str | None, str | None, dict[str, str]], name: str
) -> None:
    assert gate_id(*arguments) == name


def test_mistake_in_python_names_the_key_alone() -> None:
    with pytest.raises(UserError, match=r"^data\.targt: unknown key; did you mean 'target'\?$"):
        Plan.parse({"model": {"adapter": "logged"}, "data": {"targt": "y"}})
