"""What columns mean: target, positive label, groups, intersections, weights, and tables that hold next to nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fairwitness.audit import Dataset, Evidence, UserError, run
from fairwitness.audit.cli import main

ROWS = 200
LOGGED = {"adapter": "logged", "prediction": "yhat"}
GATES = [
    {"metric": "fairness.group.demographic_parity_difference", "max": 1.0},
    {"metric": "performance.classification.accuracy", "min": 0.0},
]


def frame(rows: int = ROWS, **columns: Any) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "sex": rng.choice(["F", "M"], rows),
            "race": rng.choice(["a", "b"], rows),
            "y": rng.integers(0, 2, rows),
            "yhat": rng.integers(0, 2, rows),
            "score": rng.random(rows),
        }
    )
    return table.assign(**columns)


def audit(table: object, *, model: Any = None, gates: Any = (), **meaning: Any) -> Evidence:
    given: dict[str, Any] = {"target": "y", "sensitive": ["sex"], "positive": 1}
    data = Dataset(table, **(given | meaning))
    return run(model or LOGGED, data, checks=["performance", "fairness.group"], gates=gates)


def groups(values: Any, **meaning: Any) -> dict[str, int]:
    """Groups of a column `g`, in the order of the report."""
    evidence = audit(frame(len(values)).assign(g=values), sensitive=["g"], **meaning)
    return evidence.subject.data.groups["g"]


class TestColumns:
    @pytest.mark.parametrize(
        ("meaning", "said"),
        [
            ({"target": "yy"}, "data.target: no column 'yy'; did you mean 'y'?"),
            ({"sensitive": ["sexx"]}, "data.sensitive: no column 'sexx'; did you mean 'sex'?"),
            ({"weight": "w"}, "data.weight: no column 'w'; known: race, score, sex, y, yhat"),
            ({"features": ["scor"]}, "data.features: no column 'scor'; did you mean 'score'?"),
            ({"id": "idd"}, "data.id: no column 'idd'"),
            ({"weight": "sex"}, "data.weight: column 'sex' is not a number"),
            ({"bins": {"sex": [1, 2]}}, "data.bins.sex: column 'sex' is large_string, not a number"),
        ],
    )
    def test_column_that_is_missing_or_of_the_wrong_type_is_refused(self, meaning: dict[str, Any], said: str) -> None:
        with pytest.raises(UserError) as refused:
            audit(frame(), **meaning)
        assert said in str(refused.value)

    @pytest.mark.parametrize(
        ("model", "said"),
        [
            ({"prediction": "yhatt"}, "model.prediction: no column 'yhatt'; did you mean 'yhat'?"),
            ({"prediction": "yhat", "score": "scores"}, "model.score: no column 'scores'; did you mean 'score'?"),
            ({"prediction": "yhat", "score": "sex"}, "model.score: column 'sex' is not a number"),
        ],
    )
    def test_column_of_logged_predictions_that_is_missing_is_refused(self, model: dict[str, Any], said: str) -> None:
        with pytest.raises(UserError) as refused:
            audit(frame(), model={"adapter": "logged", **model})
        assert said in str(refused.value)

    @pytest.mark.parametrize(
        "column", [pa.array([[1]] * ROWS), pa.array([b"\xff"] * ROWS), pa.array([{"a": 1}] * ROWS)]
    )
    def test_sensitive_column_of_no_groups_is_refused(self, column: pa.Array) -> None:
        with pytest.raises(UserError, match=r"data\.sensitive: column 'g' is .*; expected text or numbers"):
            audit(pa.Table.from_pandas(frame()).append_column("g", column), sensitive=["g"])

    @pytest.mark.parametrize(
        "column", [pa.array([[1.0]] * ROWS), pa.array([b"\xff"] * ROWS), pa.array([{"a": 1}] * ROWS)]
    )
    def test_feature_that_no_fingerprint_is_defined_for_is_refused_or_read_and_never_a_crash(
        self, column: pa.Array
    ) -> None:
        data = Dataset(pa.Table.from_pandas(frame()).append_column("f", column), target="y", positive=1)
        try:
            evidence = run(lambda X: np.zeros(len(X), dtype=int), data, checks=["performance"])
        except UserError as refused:
            assert "'f'" in str(refused)  # noqa: PT017  either way is fine; a crash is not
        else:
            assert evidence.subject.data.fingerprint is not None

    @pytest.mark.parametrize(
        "column",
        [
            pa.array([1] * ROWS, pa.duration("s")),
            pa.array([1] * ROWS, pa.time32("s")),
            pa.array([1] * ROWS, pa.timestamp("ns", "UTC")),
            pa.array([1] * ROWS, pa.date32()),
            pa.array([1] * ROWS).cast(pa.decimal128(30, 2)),
            pa.array([2**63 + 5] * ROWS, pa.uint64()),
            pa.nulls(ROWS),
        ],
        ids=lambda column: str(column.type),
    )
    def test_unusual_types_of_features_and_groups_are_read(self, column: pa.Array) -> None:
        table = pa.Table.from_pandas(frame()).append_column("g", column)
        assert list(audit(table, sensitive=["g"]).subject.data.groups["g"].values()) == [ROWS]
        data = Dataset(table, target="y", positive=1)
        assert run(lambda X: np.zeros(len(X), dtype=int), data, checks=["performance"]).exit_code == 0

    def test_sensitive_id_weight_and_target_are_no_features_by_default(self) -> None:
        data = Dataset(frame(w=1.0, id=range(ROWS)), target="y", sensitive=["sex"], weight="w", id="id")
        assert data.unclaimed() == ["race", "yhat", "score"]

    def test_index_of_a_data_frame_is_no_feature(self) -> None:
        table = frame()
        table.index = pd.Index(np.arange(ROWS) * 2 + 1)
        assert "yhat" in Dataset(table, target="y").unclaimed()
        assert not [name for name in Dataset(table, target="y").unclaimed() if "index" in name]


class TestPositive:
    @pytest.mark.parametrize(
        ("labels", "positive", "said"),
        [
            ([0, 1], "1", "expected a number"),
            (["no", "yes"], 1, "expected a text"),
            ([0, 1], True, "expected a number"),
            ([False, True], "True", "expected a boolean"),
        ],
    )
    def test_of_another_type_than_the_labels_is_refused(self, labels: list[Any], positive: Any, said: str) -> None:
        with pytest.raises(UserError) as refused:
            audit(frame(y=labels * 100, yhat=labels * 100), positive=positive)
        assert f"data.positive: {said}, as in column 'y'" in str(refused.value)
        assert str(refused.value).endswith(f"found {positive!r}")

    def test_must_be_named_where_it_cannot_be_guessed(self) -> None:
        with pytest.raises(UserError, match=r"which label of 'y' means selected\? it has 'no', 'yes'"):
            audit(frame(y=["no", "yes"] * 100), positive=None)

    @pytest.mark.parametrize("labels", [[0, 1], [-1, 1], [False, True], [0.0, 1.0]])
    def test_is_one_or_true_where_labels_are_of_the_usual_kinds(self, labels: list[Any]) -> None:
        evidence = audit(frame(y=labels * 100, yhat=labels * 100), positive=None)
        assert evidence.subject.data.facts["positive"] == "1"
        assert evidence.find("performance.classification.recall").value == 1.0

    @pytest.mark.parametrize(
        ("labels", "positive"), [([0, 1], 1.0), ([0.0, 1.0], 1), ([False, True], 1), ([0, 1], np.int8(1))]
    )
    def test_of_an_equal_number_is_taken(self, labels: list[Any], positive: Any) -> None:
        assert audit(frame(y=labels * 100), positive=positive).subject.data.facts["positive"] == "1"

    @pytest.mark.parametrize(
        "metric",
        [
            "fairness.group.demographic_parity_difference",
            "fairness.group.accuracy",
            "performance.classification.recall",
            "performance.classification.precision",
            "performance.classification.accuracy",
            "performance.classification.balanced_accuracy",
            "performance.classification.brier_score",
        ],
    )
    def test_that_does_not_occur_lets_no_gate_pass(self, metric: str) -> None:
        gate = {"metric": metric, "min": 0.0}
        evidence = audit(frame(), positive=7, model={**LOGGED, "score": "score"}, gates=[gate])
        assert evidence.verdict not in ("pass", None)
        assert evidence.exit_code == 1

    def test_that_does_not_occur_is_not_estimable(self) -> None:
        said = audit(frame(), positive=7).find("fairness.group.demographic_parity_difference", attribute="sex")
        assert said.status == "not_estimable"
        assert said.reason is not None
        assert said.reason.code == "positive_absent"


class TestTask:
    @pytest.mark.parametrize(
        ("labels", "task"),
        [
            (np.arange(ROWS) % 3, "multiclass"),
            (np.arange(ROWS) % 2, "binary"),
            (np.arange(ROWS), "regression"),
            (np.arange(ROWS) / 7, "regression"),
            (np.array(["a", "b", "c", "d"])[np.arange(ROWS) % 4], "multiclass"),
        ],
    )
    def test_is_read_off_the_target(self, labels: Any, task: str) -> None:
        assert Dataset(frame(y=labels), target="y").resolve().task == task

    def test_of_several_labels_with_a_positive_one_is_binary(self) -> None:
        assert Dataset(frame(y=np.arange(ROWS) % 3), target="y", positive=2).resolve().positive == "2"

    def test_that_the_target_cannot_have_is_refused(self) -> None:
        with pytest.raises(UserError, match="a regression needs numbers"):
            audit(frame(y=["a", "b"] * 100), task="regression", positive=None)

    def test_without_a_target_only_decisions_are_compared(self) -> None:
        evidence = audit(frame(), target=None, positive=None)
        assert evidence.find("fairness.group.demographic_parity_difference", attribute="sex").status == "ok"
        said = evidence.find("fairness.group.equal_opportunity_difference", attribute="sex")
        assert said.reason is not None
        assert said.reason.code == "needs_labels"


class TestNextToNothing:
    """Tables that cannot be judged: they run, and nothing passes."""

    @pytest.mark.parametrize(
        "table",
        [
            pytest.param(frame(0).astype({"sex": "str", "race": "str"}), id="no rows"),
            pytest.param(frame(1), id="one row"),
            pytest.param(frame(y=pd.array([None] * ROWS, dtype="Int64")), id="no labels"),
            pytest.param(frame(yhat=pd.array([None] * ROWS, dtype="Int64")), id="no predictions"),
            pytest.param(frame(sex=pd.array([None] * ROWS, dtype="string")), id="no groups"),
            pytest.param(frame(5000, sex=[f"person {i}" for i in range(5000)]), id="an identifier"),
            pytest.param(frame(w=0.0), id="no weight"),
        ],
    )
    @pytest.mark.parametrize("scores", [False, True])
    def test_runs_and_does_not_pass(self, table: pd.DataFrame, scores: bool) -> None:
        weight = "w" if "w" in table else None
        model = LOGGED | ({"score": "score"} if scores else {})
        evidence = audit(table, weight=weight, sensitive=["sex", "race"], model=model, gates=GATES)
        assert evidence.verdict in ("not_assessed", "inconclusive")
        assert evidence.exit_code == 1
        assert evidence.subject.data.rows == len(table)

    def test_identifier_as_an_attribute_is_said_to_be_one(self) -> None:
        evidence = audit(frame(5000, sex=[f"person {i}" for i in range(5000)]), gates=GATES[:1])
        (gate,) = evidence.gates
        assert gate.verdict == "not_assessed"
        assert gate.why.code == "too_many_groups"
        assert "sex" not in evidence.subject.data.groups

    def test_attribute_that_becomes_crowded_in_a_later_batch_is_dropped_from_all(self) -> None:
        rows = 65_536 + 300
        names = ["few"] * 65_536 + [f"person {i}" for i in range(300)]
        evidence = audit(frame(rows, sex=names), sensitive=["sex", "race"], intersections=False)
        assert set(evidence.subject.data.groups) == {"race"}
        assert evidence.find("fairness.group.selection_rate", attribute="race", group="a").status == "ok"

    def test_two_hundred_groups_are_compared(self) -> None:
        assert len(groups([f"g{i % 200}" for i in range(2000)])) == 200

    def test_regression_without_rows_is_not_said_to_be_of_another_task(self) -> None:
        data = Dataset(pa.Table.from_pandas(frame()).slice(0, 0), target="score", task="regression")
        (check,) = run(LOGGED, data, checks=["performance.regression"]).checks
        assert check.reason is None or check.reason.code != "task"

    def test_callable_is_not_troubled_by_an_empty_table(self) -> None:
        data = Dataset(pa.Table.from_pandas(frame()).slice(0, 0), target="y", positive=1, sensitive=["sex"])

        def fragile(X: pd.DataFrame) -> Any:
            return (X["score"] > X["score"].iloc[0]).to_numpy().astype(int)

        assert run(fragile, data, gates=GATES, checks=["performance", "fairness.group"]).exit_code == 1


class TestGroups:
    def test_missing_and_empty_are_groups_of_their_own(self) -> None:
        assert groups(["a", "", None, "a"] * 20) == {"a": 40, "(empty)": 20, "(missing)": 20}

    def test_nan_is_missing(self) -> None:
        assert groups([1.0, np.nan] * 20) == {"1": 20, "(missing)": 20}

    def test_nan_and_null_are_one_group(self) -> None:
        column = pa.array([1.0, float("nan"), None, 2.0] * 20, from_pandas=False)
        table = pa.Table.from_pandas(frame(80)).append_column("g", column)
        assert audit(table, sensitive=["g"]).subject.data.groups["g"] == {"1": 20, "2": 20, "(missing)": 40}

    @pytest.mark.parametrize("values", [[1, 2], [1.0, 2.0], pd.array([1, 2], dtype="Int8"), pd.Categorical([1, 2])])
    def test_whole_numbers_have_one_name_whatever_their_type(self, values: Any) -> None:
        assert groups(pd.Series(values).repeat(20).reset_index(drop=True)) == {"1": 20, "2": 20}

    def test_minus_zero_is_zero(self) -> None:
        assert groups([0.0, -0.0] * 20) == {"0": 40}

    def test_booleans(self) -> None:
        assert groups([False, True] * 20) == {"False": 20, "True": 20}

    def test_numbers_are_in_the_order_of_numbers(self) -> None:
        assert list(groups([10, 9, 2, 100] * 20)) == ["2", "9", "10", "100"]

    def test_bins_are_named_and_ordered_by_their_edges(self) -> None:
        found = groups([70, 3, 25, 64.5, 40, None, 100], bins={"g": [25, 40, 65]})
        assert found == {"< 25": 1, "[25, 40)": 1, "[40, 65)": 2, "≥ 65": 2, "(missing)": 1}
        assert list(found) == ["< 25", "[25, 40)", "[40, 65)", "≥ 65", "(missing)"]

    def test_bins_cut_at_fractions(self) -> None:
        assert groups([0.1, 0.5, 0.9] * 10, bins={"g": [0.5]}) == {"< 0.5": 10, "≥ 0.5": 20}

    def test_hostile_names_are_kept_as_they_are(self) -> None:
        names = ["<script>", "a & b", "\u202egnp.exe", "a\nb", "' OR 1=1 --"]
        assert set(groups(names * 20)) == set(names)

    def test_category_that_no_row_has_is_no_group(self) -> None:
        assert groups(pd.Categorical(["a", "b"] * 20, categories=["a", "b", "c"])) == {"a": 20, "b": 20}

    def test_column_of_five_thousand_categories_with_two_in_use_has_two_groups(self) -> None:
        many = pd.Categorical(["c1", "c2"] * 20, categories=[f"c{i}" for i in range(5000)])
        assert groups(many) == {"c1": 20, "c2": 20}


class TestIntersections:
    def attributes(self, **meaning: Any) -> set[str | None]:
        table = frame(age=["old", "young"] * 100)
        return {m.attribute for m in audit(table, sensitive=["sex", "race", "age"], **meaning).checks[0].measurements}

    def test_are_all_pairs_in_the_plans_order_by_default(self) -> None:
        assert self.attributes() == {"sex", "race", "age", "sex & race", "sex & age", "race & age"}

    def test_are_those_that_are_named(self) -> None:
        assert self.attributes(intersections=[["age", "sex", "race"]]) == {"sex", "race", "age", "age & sex & race"}

    def test_are_none_for_false(self) -> None:
        assert self.attributes(intersections=False) == {"sex", "race", "age"}

    def test_are_none_for_an_empty_list(self) -> None:
        assert self.attributes(intersections=[]) == {"sex", "race", "age"}

    def test_groups_are_counted_by_both(self) -> None:
        table = frame()
        found = audit(table, sensitive=["sex", "race"]).subject.data.groups["sex & race"]
        counted = table.groupby(["sex", "race"]).size()
        assert found == {f"{sex} & {race}": n for (sex, race), n in counted.items()}  # type: ignore[misc, has-type]

    def test_groups_whose_joined_names_are_equal_are_told_apart(self) -> None:
        table = frame(80, sex=["a & b", "a"] * 40, race=["c", "b & c"] * 40)
        found = audit(table, sensitive=["sex", "race"]).subject.data.groups["sex & race"]
        assert sorted(found.values()) == [40, 40]


class TestSeparateSensitiveColumns:
    """`sensitive_path`: the groups are in another table."""

    def halves(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        table = frame(id=[f"r{i}" for i in range(ROWS)])
        return table.drop(columns="sex"), table[["id", "sex"]]

    def expected(self) -> dict[str, int]:
        return frame()["sex"].value_counts().to_dict()  # type: ignore[return-value]

    def test_in_the_same_order_of_rows(self) -> None:
        main_table, beside = self.halves()
        evidence = audit(main_table, sensitive_from=beside[["sex"]])
        assert evidence.subject.data.groups["sex"] == self.expected()
        assert evidence.checks == audit(frame()).checks

    def test_joined_by_id_in_any_order(self) -> None:
        main_table, beside = self.halves()
        evidence = audit(main_table, sensitive_from=beside.sample(frac=1, random_state=0), id="id")
        assert evidence.subject.data.groups["sex"] == self.expected()
        assert evidence.checks == audit(frame()).checks

    def test_joined_by_id_from_files(self, tmp_path: Path) -> None:
        main_table, beside = self.halves()
        main_table.to_parquet(tmp_path / "test.parquet")
        beside.iloc[::-1].to_csv(tmp_path / "people.csv", index=False)
        (tmp_path / "audit.toml").write_text(
            '[model]\nadapter = "logged"\nprediction = "yhat"\n[data]\npath = "test.parquet"\ntarget = "y"\n'
            'sensitive = ["sex"]\nsensitive_path = "people.csv"\nid = "id"\n[checks]\nselect = ["fairness.group"]\n'
        )
        assert run(tmp_path / "audit.toml").subject.data.groups["sex"] == self.expected()

    def test_row_without_an_entry_is_missing(self) -> None:
        main_table, beside = self.halves()
        evidence = audit(main_table, sensitive_from=beside.iloc[:150], id="id")
        assert evidence.subject.data.groups["sex"]["(missing)"] == 50

    def test_ids_of_category_type_are_joined(self) -> None:
        main_table, beside = self.halves()
        evidence = audit(
            main_table.astype({"id": "category"}), sensitive_from=beside.astype({"id": "category"}), id="id"
        )
        assert evidence.subject.data.groups["sex"] == self.expected()

    def test_that_names_a_row_twice_is_refused(self) -> None:
        main_table, beside = self.halves()
        with pytest.raises(UserError, match=r"data\.sensitive_path: column 'id' names some rows twice"):
            audit(main_table, sensitive_from=pd.concat([beside, beside.head(1)]), id="id")

    def test_with_ids_of_another_type_are_refused(self) -> None:
        main_table, beside = self.halves()
        with pytest.raises(UserError, match=r"data\.id: 'id' has other types in the two files"):
            audit(main_table, sensitive_from=beside.assign(id=range(ROWS)), id="id")

    def test_without_the_id_is_refused(self) -> None:
        main_table, beside = self.halves()
        with pytest.raises(UserError, match=r"data\.id: no column 'id'"):
            audit(main_table, sensitive_from=beside[["sex"]], id="id")

    def test_without_rows_joined_by_id_leaves_all_missing(self) -> None:
        main_table, beside = self.halves()
        evidence = audit(main_table, sensitive_from=pa.Table.from_pandas(beside).slice(0, 0), id="id")
        assert evidence.subject.data.groups["sex"] == {"(missing)": ROWS}

    @pytest.mark.parametrize("rows", [0, ROWS - 1, ROWS + 1])
    def test_with_another_number_of_rows_is_refused(self, rows: int) -> None:
        main_table, beside = self.halves()
        other = pa.Table.from_pandas(pd.concat([beside, beside])).slice(0, rows).select(["sex"])
        with pytest.raises(UserError, match=r"data\.sensitive_path: has another number of rows"):
            audit(main_table, sensitive_from=other)

    def test_with_more_rows_than_a_whole_number_of_batches_is_refused(self) -> None:
        full = pa.table({"y": np.zeros(65_536, int), "yhat": np.zeros(65_536, int)})
        with pytest.raises(UserError, match=r"data\.sensitive_path: has more rows"):
            audit(full, sensitive_from=pa.table({"sex": ["a"] * 65_537}))

    def test_with_two_columns_of_one_name_is_refused(self) -> None:
        beside = pa.table([["a"] * ROWS, ["b"] * ROWS], names=["sex", "sex"])
        with pytest.raises(UserError, match="'sex'"):
            audit(self.halves()[0], sensitive_from=beside)

    def test_groups_are_in_the_fingerprint(self) -> None:
        main_table, beside = self.halves()
        one = audit(main_table, sensitive_from=beside[["sex"]])
        other = audit(main_table, sensitive_from=beside[["sex"]].assign(sex=beside["sex"].to_numpy()[::-1]))
        assert one.subject.data.fingerprint != other.subject.data.fingerprint


class TestWeights:
    @pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf"), None])
    def test_that_are_missing_infinite_or_negative_are_refused(self, bad: float | None) -> None:
        weights = pa.array([1.0] * (ROWS - 1) + [bad])
        table = pa.Table.from_pandas(frame()).append_column("w", weights)
        with pytest.raises(UserError, match=r"data\.weight: 'w' has a missing, infinite or negative weight"):
            audit(table, weight="w")

    def test_of_equal_size_change_no_value(self) -> None:
        plain, weighted = audit(frame()), audit(frame(w=2.5), weight="w")
        for one, other in zip(plain.measurements(), weighted.measurements(), strict=True):
            assert other.value == pytest.approx(one.value)
            assert other.n == one.n

    def test_rate_is_that_of_the_weighted_rows(self) -> None:
        rng = np.random.default_rng(3)
        table = frame(w=rng.random(ROWS))
        found = audit(table, weight="w").find("performance.classification.accuracy").value
        assert found == pytest.approx(np.average(table.y == table.yhat, weights=table.w))

    @pytest.mark.parametrize("size", [1e200, 1e-200])
    def test_whose_squares_are_no_numbers_are_refused_or_read_and_never_a_crash(self, size: float) -> None:
        try:
            evidence = audit(frame(w=size), weight="w", model={**LOGGED, "score": "score"})
        except UserError as refused:
            assert "weight" in str(refused)  # noqa: PT017  either way is fine; a crash is not
        else:
            assert evidence.complete


class TestTrain:
    def test_rows_that_the_model_was_fitted_on_are_described_too(self) -> None:
        evidence = audit(frame(), train=frame(50))
        assert evidence.subject.data.train is not None
        assert evidence.subject.data.train.rows == 50
        assert evidence.subject.data.rows == ROWS

    def test_without_the_target_is_refused(self) -> None:
        with pytest.raises(UserError, match="no column 'y'"):
            audit(frame(), train=frame(50).drop(columns="y"))


def test_what_is_handed_over_is_not_modified() -> None:
    table = frame()
    before = table.copy(deep=True)
    audit(table)
    pd.testing.assert_frame_equal(table, before)


@pytest.mark.parametrize("problem", ["weight", "sensitive_path", "duplicate id"])
def test_mistake_that_shows_in_the_rows_is_one_line_too(
    problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.Table.from_pandas(frame(w=-1.0, id=range(ROWS))), "test.parquet")
    pq.write_table(pa.table({"id": [1] * 3, "sex": ["F"] * 3}), "people.parquet")
    more = {
        "weight": 'weight = "w"',
        "sensitive_path": 'sensitive_path = "people.parquet"',
        "duplicate id": 'sensitive_path = "people.parquet"\nid = "id"',
    }[problem]
    Path("audit.toml").write_text(
        '[model]\nadapter = "logged"\nprediction = "yhat"\n[data]\npath = "test.parquet"\ntarget = "y"\n'
        f'sensitive = ["sex"]\n{more}\n'
    )
    with pytest.raises(SystemExit) as stopped:
        main(["run", "audit.toml", "-o", "out"])
    error = capsys.readouterr().err
    assert stopped.value.code == 2
    assert error.count("\n") == 1
    assert error.startswith("fairwitness: audit.toml: data.")
    assert not Path("out").exists()
