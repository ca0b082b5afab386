"""Every way to a model: what the audit asks it, what it makes of the answer, and how it refuses what it cannot use."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from joblib.numpy_pickle_compat import NDArrayWrapper
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from skops import io as skops

from fairwitness.audit import Dataset, Evidence, UserError, run
from fairwitness.audit.cli import main

ROWS = 240
FEATURES = ["income", "debt"]
AUC, LOG_LOSS = "performance.classification.roc_auc", "performance.classification.log_loss"
ACCURACY = "performance.classification.accuracy"


def frame(labels: Any = (0, 1)) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    income, debt = rng.normal(size=ROWS), rng.normal(size=ROWS)
    y = (income - debt + rng.normal(size=ROWS) > 0).astype(int)
    city = rng.choice(["north", "south"], ROWS)
    return pd.DataFrame(
        {
            "income": income, "debt": debt, "city": city, "sex": rng.choice(["F", "M"], ROWS),
            "y": np.asarray(labels)[y], "value": income - debt + rng.normal(size=ROWS) / 4,
        }
    )  # fmt: skip


def data(table: pd.DataFrame | None = None, **meaning: Any) -> Dataset:
    given: dict[str, Any] = {"target": "y", "sensitive": ["sex"], "positive": 1, "features": FEATURES}
    return Dataset(frame() if table is None else table, **(given | meaning))


def audit(model: Any, dataset: Dataset | None = None, **given: Any) -> Evidence:
    return run(model, dataset or data(), **({"checks": ["performance"]} | given))


def fitted(estimator: Any = None, labels: Any = (0, 1), columns: Any = FEATURES) -> Any:
    table = frame(labels)
    return (LogisticRegression() if estimator is None else estimator).fit(table[columns], table["y"])


def value(evidence: Evidence, metric: str = ACCURACY, **where: str) -> float:
    found = evidence.find(metric, **where).value
    assert found is not None
    return found


class Answers:
    """A classifier that answers what it is told to."""

    def __init__(self, labels: Callable[[Any], Any], scores: Callable[[Any], Any] | None = None) -> None:
        self.predict = labels
        self.classes_ = np.array([0, 1])
        if scores is not None:
            self.predict_proba = scores


def ones(X: Any) -> Any:
    return np.ones(len(X), dtype=int)


class TestEstimators:
    @pytest.mark.parametrize(
        "estimator",
        [LogisticRegression(), DecisionTreeClassifier(max_depth=3), KNeighborsClassifier()],
        ids=lambda estimator: type(estimator).__name__,
    )
    def test_predictions_and_probabilities_are_those_of_scikit_learn(self, estimator: Any) -> None:
        from sklearn.metrics import log_loss, roc_auc_score

        table, model = frame(), fitted(estimator)
        evidence = audit(model)
        scores = model.predict_proba(table[FEATURES])
        assert evidence.subject.model.access == "scores"
        assert value(evidence) == pytest.approx(model.score(table[FEATURES], table["y"]))
        assert value(evidence, AUC) == pytest.approx(roc_auc_score(table["y"], scores[:, 1]))
        assert value(evidence, LOG_LOSS) == pytest.approx(log_loss(table["y"], scores))

    def test_pipeline_of_text_and_numbers_is_given_a_frame(self) -> None:
        columns = ["city", "debt", "income"]
        model = make_pipeline(
            make_column_transformer((OneHotEncoder(), ["city"]), remainder=StandardScaler()), LogisticRegression()
        )
        table = frame()
        model.fit(table[columns], table["y"])
        evidence = audit(model, data(features=None))
        assert value(evidence) == pytest.approx(model.score(table[columns], table["y"]))

    def test_features_default_to_those_the_model_was_fitted_on(self) -> None:
        assert audit(fitted(), data(features=None)).subject.data.columns == ("debt", "income", "sex", "y")

    def test_fitted_without_names_is_given_the_plans_features_in_its_order(self) -> None:
        table = frame()
        model = LogisticRegression().fit(table[FEATURES].to_numpy(), table["y"])
        assert value(audit(model)) == pytest.approx(model.score(table[FEATURES].to_numpy(), table["y"]))

    def test_fitted_without_names_on_another_number_of_features_is_refused(self) -> None:
        table = frame()
        model = LogisticRegression().fit(table[FEATURES].to_numpy(), table["y"])
        with pytest.raises(UserError, match=r"data\.features: the model was fitted on 2 features without names"):
            audit(model, data(features=None))

    def test_fitted_on_a_column_that_is_absent_is_refused(self) -> None:
        with pytest.raises(UserError, match="fitted on column 'debt': no column 'debt'; did you mean 'debts'"):
            audit(fitted(), data(frame().rename(columns={"debt": "debts"}), features=None))

    def test_class_of_ones_own_with_predict_is_given_a_frame(self) -> None:
        class Rule:
            def predict(self, X: pd.DataFrame) -> Any:
                return (X["income"] > 0).to_numpy().astype(int)

        assert audit(Rule()).subject.model.access == "labels"

    def test_margins_rank_but_are_no_probabilities(self) -> None:
        evidence = audit(fitted(LinearSVC()))
        assert value(evidence, AUC) > 0.5
        said = evidence.find(LOG_LOSS)
        assert said.status == "not_estimable"
        assert said.reason is not None
        assert said.reason.code == "scores_not_probabilities"

    def test_without_scores_only_labels_are_judged(self) -> None:
        evidence = audit(Answers(ones))
        assert evidence.subject.model.access == "labels"
        said = evidence.find(AUC)
        assert said.reason is not None
        assert said.reason.code == "needs_scores"

    def test_own_rule_is_audited_where_it_disagrees_with_its_probabilities(self) -> None:
        table = frame()
        model = FixedThresholdClassifier(LogisticRegression(), threshold=0.9).fit(table[FEATURES], table["y"])
        argmax = (model.predict_proba(table[FEATURES])[:, 1] > 0.5).astype(int)
        assert not np.array_equal(model.predict(table[FEATURES]), argmax)
        assert value(audit(model)) == pytest.approx((model.predict(table[FEATURES]) == table["y"]).mean())

    def test_threshold_of_the_plan_takes_the_place_of_the_models_rule(self) -> None:
        table, model = frame(), fitted()
        decided = model.predict_proba(table[FEATURES])[:, 1] >= 0.9
        evidence = audit(model, threshold=0.9)
        assert value(evidence) == pytest.approx((decided == table["y"]).mean())
        assert evidence.subject.model.facts["threshold"] == 0.9

    def test_threshold_without_scores_is_refused(self) -> None:
        with pytest.raises(UserError, match=r"model\.threshold: Answers gives no scores"):
            audit(Answers(ones), threshold=0.5)

    @pytest.mark.parametrize(
        ("labels", "positive"),
        [
            (("no", "yes"), "yes"),
            ((False, True), True),
            ((0, 1), 1),
            ((-1, 1), 1),
            ((0.0, 1.0), 1),
            (("no", "yes"), "no"),
        ],
    )
    def test_classes_of_any_kind(self, labels: Any, positive: Any) -> None:
        table, model = frame(labels), fitted(labels=labels)
        evidence = audit(model, data(table, positive=positive))
        assert value(evidence) == pytest.approx(model.score(table[FEATURES], table["y"]))
        assert value(evidence, AUC) > 0.7

    def test_many_classes(self) -> None:
        table = frame()
        table["y"] = np.where(table["value"] > 0.5, "high", np.where(table["value"] < -0.5, "low", "middle"))
        model = LogisticRegression().fit(table[FEATURES], table["y"])
        evidence = audit(model, data(table, positive=None))
        assert evidence.subject.data.facts["task"] == "multiclass"
        assert value(evidence) == pytest.approx(model.score(table[FEATURES], table["y"]))
        assert {m.where["class"] for m in evidence.measurements() if m.metric == AUC} == {"high", "low", "middle"}

    def test_regression(self) -> None:
        table = frame()
        model = LinearRegression().fit(table[FEATURES], table["value"])
        evidence = audit(model, data(table, target="value", positive=None))
        assert value(evidence, "performance.regression.r2") == pytest.approx(
            model.score(table[FEATURES], table["value"])
        )
        assert evidence.subject.model.access == "values"

    def test_labels_outside_the_targets_are_counted_as_wrong(self) -> None:
        table = frame()
        model = IsolationForest(n_estimators=5, random_state=0).fit(table[FEATURES])
        assert 0 < value(audit(model)) < 1

    @pytest.mark.parametrize(
        ("model", "said"),
        [
            (Answers(lambda X: 1 / 0), "prediction failed: ZeroDivisionError"),
            (Answers(lambda X: ones(X)[:-1]), "the model gave 239 answers for 240 rows"),
            (Answers(lambda X: None), "model"),
            (Answers(lambda X: np.array(["yes"] * len(X))), "predictions are text, but the labels"),
            (Answers(lambda X: np.full(len(X), 0.3)), "predictions are fractions"),
            (Answers(ones, lambda X: np.full((3, 2), 0.5)), "the model gave 3 answers for 240 rows"),
            (Answers(ones, lambda X: None), "prediction failed"),
            (Answers(ones, lambda X: np.full((len(X), 1), 0.5)), "2"),
            (Answers(ones, lambda X: np.full((len(X), 3), 0.3)), "2"),
            (Answers(ones, lambda X: np.full(len(X), 0.3)), "2"),
            (Answers(ones, lambda X: [["a", "b"]] * len(X)), "prediction failed"),
        ],
        ids=["raises", "too few", "none", "text", "fractions", "few scores", "no scores", "one column", "three columns",
             "scores in one row", "scores of text"],
    )  # fmt: skip
    def test_answer_that_cannot_be_used_is_refused(self, model: Any, said: str) -> None:
        with pytest.raises(UserError, match=r"^model") as refused:
            audit(model)
        assert said in str(refused.value)

    def test_object_that_is_no_model_is_refused(self) -> None:
        with pytest.raises(UserError, match="int is no model"):
            audit(3)


class TestFiles:
    PLAN = """
[model]
adapter = "sklearn"
path = "{path}"
{more}
[data]
path = "test.parquet"
target = "y"
positive = {positive}
sensitive = ["sex"]
[checks]
select = ["performance"]
"""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        frame().to_parquet("test.parquet")

    def run(self, path: str, more: str = "", positive: str = "1") -> Evidence:
        Path("audit.toml").write_text(self.PLAN.format(path=path, more=more, positive=positive))
        return run("audit.toml")

    def refused(self, path: str, more: str, capsys: pytest.CaptureFixture[str]) -> str:
        Path("audit.toml").write_text(self.PLAN.format(path=path, more=more, positive=1))
        with pytest.raises(SystemExit) as stopped:
            main(["run", "audit.toml", "-o", "out"])
        error = capsys.readouterr().err
        assert stopped.value.code == 2
        assert error.startswith("fairwitness: audit.toml: model")
        assert error.count("\n") == 1
        assert not Path("out").exists()
        return error

    @pytest.mark.parametrize(
        "estimator",
        [
            LogisticRegression(),
            HistGradientBoostingClassifier(max_iter=3),
            RandomForestClassifier(3),
            KNeighborsClassifier(),
        ],
        ids=lambda estimator: type(estimator).__name__,
    )
    def test_skops_needs_no_trust_for_scikit_learn(self, estimator: Any) -> None:
        model = fitted(estimator)
        skops.dump(model, "m.skops")
        evidence = self.run("m.skops")
        assert value(evidence) == pytest.approx(model.score(frame()[FEATURES], frame()["y"]))
        assert "sha256" in evidence.subject.model.facts

    @pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)])
    def test_joblib_with_trust(self, compress: Any) -> None:
        model = make_pipeline(StandardScaler(), fitted())
        model.fit(frame()[FEATURES], frame()["y"])
        joblib.dump(model, "m.joblib", compress=compress)
        assert value(self.run("m.joblib", "trust = true")) == pytest.approx(
            model.score(frame()[FEATURES], frame()["y"])
        )

    @pytest.mark.parametrize("protocol", [2, 3, 4, 5])
    @pytest.mark.parametrize("labels", [(0, 1), ("no", "yes")])
    def test_pickle_with_trust(self, protocol: int, labels: Any) -> None:
        model = fitted(RandomForestClassifier(3, random_state=0), labels)
        Path("m.pkl").write_bytes(pickle.dumps(model, protocol=protocol))
        frame(labels).to_parquet("test.parquet")
        evidence = self.run("m.pkl", "trust = true", positive=json.dumps(labels[1]))
        assert value(evidence) == pytest.approx(model.score(frame()[FEATURES], frame(labels)["y"]))

    @pytest.mark.parametrize("name", ["m.pkl", "m.joblib", "m.pickle"])
    def test_pickle_without_trust_is_refused_unread(self, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        Path(name).write_bytes(pickle.dumps(Touches()))
        error = self.refused(name, "", capsys)
        assert "model.trust = true" in error
        assert not Path("touched").exists()

    def test_missing_file(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "model.path: no such file: m.skops" in self.refused("m.skops", "", capsys)

    @pytest.mark.parametrize("content", [b"", b"garbage", b"\x1f\x8bgarbage", b"PK\x03\x04garbage"])
    @pytest.mark.parametrize(
        ("name", "more"), [("m.skops", ""), ("m.pkl", "trust = true"), ("m.joblib", "trust = true")]
    )
    def test_damaged_file(self, name: str, more: str, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
        Path(name).write_bytes(content)
        assert f"cannot read {name}" in self.refused(name, more, capsys)

    @pytest.mark.parametrize("keep", [0.2, 0.9])
    @pytest.mark.parametrize(("name", "more"), [("m.skops", ""), ("m.pkl", "trust = true")])
    def test_truncated_file(self, name: str, more: str, keep: float, capsys: pytest.CaptureFixture[str]) -> None:
        skops.dump(fitted(), name) if name == "m.skops" else joblib.dump(fitted(), name)
        content = Path(name).read_bytes()
        Path(name).write_bytes(content[: int(len(content) * keep)])
        assert f"cannot read {name}" in self.refused(name, more, capsys)

    def test_skops_of_types_of_ones_own_says_the_line_to_add(self, capsys: pytest.CaptureFixture[str]) -> None:
        skops.dump(Own().fit(frame()[FEATURES], frame()["y"]), "m.skops")
        error = self.refused("m.skops", "", capsys)
        listed = error.partition("trust = ")[2].strip()
        assert value(self.run("m.skops", f"trust = {listed}")) >= 0.0

    def test_file_that_holds_no_model(self, capsys: pytest.CaptureFixture[str]) -> None:
        joblib.dump({"weights": [1, 2]}, "m.joblib")
        assert "dict has no method predict" in self.refused("m.joblib", "trust = true", capsys)

    @pytest.mark.parametrize("more", ["", 'function = "source:model"'])
    def test_path_or_function_but_not_both_or_none(self, more: str, capsys: pytest.CaptureFixture[str]) -> None:
        Path("audit.toml").touch()
        line = self.PLAN.replace('path = "{path}"', 'path = "m.skops"' if more else "")
        Path("audit.toml").write_text(line.format(path="", more=more, positive=1))
        with pytest.raises(SystemExit):
            main(["run", "audit.toml", "-o", "out"])
        assert "needs one of path" in capsys.readouterr().err

    def test_relative_plan_leaves_no_path_of_this_machine_in_the_evidence(self, tmp_path: Path) -> None:
        skops.dump(fitted(), "m.skops")
        written = self.run("m.skops").to_json()
        assert str(tmp_path) not in written
        assert str(Path.home()) not in written

    def test_plan_in_another_folder_finds_its_files_and_gives_the_same_digest(self, tmp_path: Path) -> None:
        skops.dump(fitted(), "m.skops")
        here = self.run("m.skops")
        (tmp_path / "elsewhere").mkdir()
        os.chdir(tmp_path / "elsewhere")
        assert run(tmp_path / "audit.toml").digest == here.digest


class Own(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that no list knows."""

    def fit(self, X: Any, y: Any) -> "Own":
        self.classes_, self.feature_names_in_ = np.unique(y), np.array(X.columns, dtype=object)
        return self

    def predict(self, X: Any) -> Any:
        return np.full(len(X), self.classes_[-1])


class Touches:
    """A pickle that makes a file when it is read."""

    def __reduce__(self) -> Any:
        return os.system, ("touch touched",)


class Calls:
    """A pickle that calls what it is told to."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


class TestHostilePickles:
    """With `trust = true`: still nothing of the system is called."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

    def load(self, content: bytes) -> None:
        from fairwitness.audit.models._pickles import load_pickle

        Path("m.pkl").write_bytes(content)
        with pytest.raises(UserError, match=r"cannot read m\.pkl: .*not loaded"):
            load_pickle(Path("m.pkl"), trusted=(), where="model.path")

    @pytest.mark.parametrize(
        "content",
        [
            pickle.dumps(Touches()),
            pickle.dumps([{"a": Touches()}]),
            pickle.dumps(Calls(eval, "open('touched', 'w')")),
            b"cbuiltins\ngetattr\n.",
            b"cos\nsystem\n(S'touch touched'\ntR.",
            b"csubprocess\nPopen\n(S'touch touched'\ntR.",
            b"cnumpy.testing\nrundocs\n(S'touched.py'\ntR.",
            b"cpandas.io.common\nget_handle\n(S'touched'\nS'w'\ntR.",
            b"cbuiltins\nopen\n(S'touched'\nS'w'\ntR.",
            b"cpathlib\nPath.touch\n(S'touched'\ntR.",
            b"cjoblib.numpy_pickle\nload\n(S'other.pkl'\ntR.",
        ],
    )  # fmt: skip
    def test_that_names_what_no_model_needs_is_refused(self, content: bytes) -> None:
        self.load(content)
        assert not Path("touched").exists()

    def test_inside_an_array_of_objects_is_refused(self) -> None:
        joblib.dump(np.array([Touches()], dtype=object), "m.joblib")
        self.load(Path("m.joblib").read_bytes())
        assert not Path("touched").exists()

    def test_inside_compression_is_refused(self) -> None:
        joblib.dump(Touches(), "m.joblib", compress=3)
        self.load(Path("m.joblib").read_bytes())
        assert not Path("touched").exists()

    def test_that_points_to_a_second_file_is_refused(self) -> None:
        np.save("second.npy", np.array([Touches()], dtype=object), allow_pickle=True)
        self.load(pickle.dumps(NDArrayWrapper("second.npy", np.ndarray, True)))
        assert not Path("touched").exists()

    def test_that_opens_a_file_through_a_class_is_refused(self) -> None:
        Path("victim").write_text("what was there")
        self.load(pickle.dumps(Calls(np.memmap, "victim", "uint8", "w+", 0, (4,))))
        assert Path("victim").read_text() == "what was there"


class TestCallables:
    def test_labels(self) -> None:
        evidence = audit(lambda X: (X["income"] > 0).astype(int))
        assert evidence.subject.model.access == "labels"
        assert evidence.subject.model.facts["answers"] == "labels"
        assert value(evidence) == pytest.approx(((frame().income > 0) == frame().y).mean())

    def test_fractions_are_scores_of_the_positive_label(self) -> None:
        model = fitted()
        evidence = audit(lambda X: model.predict_proba(X)[:, 1])
        assert evidence.subject.model.facts["answers"] == "scores"
        assert evidence.subject.model.facts["threshold"] == 0.5
        assert value(evidence, AUC) == pytest.approx(value(audit(model), AUC))
        assert value(evidence) == pytest.approx(value(audit(model)))

    def test_threshold_selects(self) -> None:
        model = fitted()
        found = audit(lambda X: model.predict_proba(X)[:, 1], threshold=0.8)
        assert value(found) == pytest.approx(value(audit(model, threshold=0.8)))

    @pytest.mark.parametrize("labels", [(0, 1), ("no", "yes"), (False, True)])
    @pytest.mark.parametrize("form", ["pandas", "category", "polars"])
    def test_column_for_each_label_in_sorted_order(self, labels: Any, form: str) -> None:
        import polars as pl

        model, table = fitted(), frame(labels)
        if form == "category":
            table = table.astype({"y": "category"})
        source: Any = pl.from_pandas(table) if form == "polars" else table
        evidence = run(model.predict_proba, data(source, positive=labels[1]), checks=["performance"])
        assert value(evidence) == pytest.approx(value(audit(model)))
        assert value(evidence, AUC) == pytest.approx(value(audit(model), AUC))

    def test_many_classes(self) -> None:
        table = frame()
        table["y"] = np.digitize(table["value"], [-0.5, 0.5])
        model = LogisticRegression().fit(table[FEATURES], table["y"])
        evidence = audit(model.predict_proba, data(table, positive=None))
        assert value(evidence) == pytest.approx(model.score(table[FEATURES], table["y"]))

    def test_regression(self) -> None:
        evidence = audit(lambda X: X["income"] - X["debt"], data(target="value", positive=None))
        assert value(evidence, "performance.regression.r2") > 0.9

    @pytest.mark.parametrize(
        ("function", "said"),
        [
            (lambda X: 1 / 0, "the function failed: ZeroDivisionError"),
            (lambda X: X["salary"], "the function failed: KeyError"),
            (lambda X: [1, 2], "the model gave 2 answers for 240 rows"),
            (lambda X: None, "answers"),
            (lambda X: 1, "answers"),
            (lambda X: ["yes"] * len(X), "predictions are text, but the labels of the target are number"),
            (lambda X: np.full((len(X), 3), 0.3), "240x3"),
            (lambda X: [[1], [1, 2]] * (len(X) // 2), "model"),
        ],
        ids=["raises", "missing column", "two", "none", "scalar", "text", "three columns", "ragged"],
    )
    def test_answer_that_cannot_be_used_is_refused(self, function: Any, said: str) -> None:
        with pytest.raises(UserError, match=r"^model") as refused:
            audit(function)
        assert said in str(refused.value)

    def test_threshold_on_labels_of_text_is_refused(self) -> None:
        with pytest.raises(UserError, match=r"model\.threshold: goes with scores"):
            audit(lambda X: ["yes"] * len(X), data(frame(("no", "yes")), positive="yes"), threshold=0.5)

    def test_reference_in_a_plan(self, tmp_path: Path) -> None:
        frame().to_parquet(tmp_path / "test.parquet")
        (tmp_path / "own.py").write_text("def rule(X):\n    return (X['income'] > 0).astype(int)\n")
        (tmp_path / "audit.toml").write_text(
            '[model]\nadapter = "python"\nfunction = "own:rule"\n[data]\npath = "test.parquet"\ntarget = "y"\n'
            '[checks]\nselect = ["performance"]\n'
        )
        evidence = run(tmp_path / "audit.toml")
        assert evidence.subject.model.facts["function"] == "rule"
        assert value(evidence) == pytest.approx(value(audit(lambda X: (X["income"] > 0).astype(int))))


class TestLogged:
    def table(self) -> pd.DataFrame:
        table, model = frame(), fitted()
        scores = model.predict_proba(table[FEATURES])
        return table.assign(yhat=model.predict(table[FEATURES]), s0=scores[:, 0], s1=scores[:, 1])

    def audit(self, table: pd.DataFrame | None = None, meaning: Any = None, **model: Any) -> Evidence:
        dataset = data(self.table() if table is None else table, **({"features": None} | (meaning or {})))
        return audit({"adapter": "logged", **model}, dataset)

    def test_prediction_and_score_give_what_the_model_gives(self) -> None:
        logged, live = self.audit(prediction="yhat", score="s1"), audit(fitted())
        assert logged.subject.model.access == "logged"
        for metric in (ACCURACY, AUC, LOG_LOSS):
            assert logged.find(metric).value == live.find(metric).value

    def test_score_with_threshold_needs_no_prediction(self) -> None:
        assert value(self.audit(score="s1", threshold=0.5)) == pytest.approx(value(audit(fitted())))

    def test_without_score_ranking_is_not_estimable(self) -> None:
        assert self.audit(prediction="yhat").find(AUC).status == "not_estimable"

    def test_score_for_each_label(self) -> None:
        logged = self.audit(prediction="yhat", score={"0": "s0", "1": "s1"})
        assert value(logged, AUC) == pytest.approx(value(audit(fitted()), AUC))

    def test_scores_of_many_classes(self) -> None:
        table = frame()
        table["y"] = np.array(["a", "b", "c"])[np.digitize(table["value"], [-0.5, 0.5])]
        model = LogisticRegression().fit(table[FEATURES], table["y"])
        scores = model.predict_proba(table[FEATURES])
        table = table.assign(yhat=model.predict(table[FEATURES]), sa=scores[:, 0], sb=scores[:, 1], sc=scores[:, 2])
        meaning = {"positive": None}
        logged = self.audit(table, meaning, prediction="yhat", score={"a": "sa", "b": "sb", "c": "sc"})
        live = audit(model, data(table, positive=None))
        assert value(logged, LOG_LOSS) == pytest.approx(value(live, LOG_LOSS))
        for label in "abc":
            found, expected = (e.find(AUC, **{"class": label}).value for e in (logged, live))
            assert found == expected

    def test_one_score_of_many_classes_is_refused(self) -> None:
        table = self.table().assign(y=[0, 1, 2] * 80)
        with pytest.raises(UserError, match=r"model\.score: multiclass needs a table"):
            self.audit(table, {"positive": None}, prediction="yhat", score="s1")

    def test_regression(self) -> None:
        logged = self.audit(None, {"target": "value", "positive": None}, prediction="income")
        assert logged.find("performance.regression.mean_absolute_error").status == "ok"

    @pytest.mark.parametrize(
        ("column", "said"),
        [
            (["yes", "no"] * 120, "predictions are text, but the labels of the target are number"),
            (np.linspace(0.1, 0.9, ROWS), "predictions are fractions"),
            (pd.date_range("2020", periods=ROWS), "expected text, numbers or booleans"),
        ],
    )
    def test_predictions_of_another_kind_than_the_labels_are_refused(self, column: Any, said: str) -> None:
        with pytest.raises(UserError, match=r"model\.prediction") as refused:
            self.audit(self.table().assign(yhat=column), prediction="yhat")
        assert said in str(refused.value)

    @pytest.mark.parametrize("labels", [[False, True], [0.0, 1.0]])
    def test_predictions_of_booleans_and_whole_floats_meet_labels_of_numbers(self, labels: Any) -> None:
        table = self.table()
        converted = table.assign(yhat=np.asarray(labels)[table["yhat"]])
        assert value(self.audit(converted, prediction="yhat")) == value(self.audit(table, prediction="yhat"))

    def test_missing_predictions_are_left_out_and_counted(self) -> None:
        table = self.table()
        table["yhat"] = table["yhat"].astype("Int64").mask(np.arange(ROWS) < 40)
        assert self.audit(table, prediction="yhat").find(ACCURACY).n == ROWS - 40

    def test_missing_scores_are_left_out(self) -> None:
        table = self.table()
        table.loc[:39, "s1"] = np.nan
        assert self.audit(table, prediction="yhat", score="s1").find(AUC).n == ROWS - 40

    def test_no_column_of_the_model_is_a_secret_in_the_evidence(self) -> None:
        assert self.audit(prediction="yhat", score="s1").subject.model.facts == {
            "prediction": "yhat",
            "score of 1": "s1",
        }
