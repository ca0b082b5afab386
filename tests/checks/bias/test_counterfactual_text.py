"""Counterfactual texts: the swapper by its laws, the rates by brute force, and models whose reactions are known."""

import tomllib
from collections.abc import Callable
from hashlib import blake2b
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from fairwitness.audit import Dataset, run
from fairwitness.audit.errors import UserError
from fairwitness.audit.evidence import Evidence, Measurement
from fairwitness.checks.bias._counterfactual_answers import Slots
from fairwitness.checks.bias._counterfactual_lexicon import NEUTRAL, SHIPPED, Axis, Lexicon, lexicon_of
from fairwitness.checks.bias._counterfactual_rates import Changes, changes, excess, score_gaps
from fairwitness.checks.bias._counterfactual_swaps import Swapper, lowered, recased

CHECK = "bias.counterfactual_text"
Model = Callable[[pd.DataFrame], Any]
LEXICONS = {name: lexicon_of(name, Path(), "test") for name in SHIPPED}


def axes(name: str) -> dict[str, Axis]:
    lexicon = LEXICONS[name]
    return {**lexicon.axes, NEUTRAL: lexicon.neutral}


def swapper(axis: str, language: str = "en") -> Swapper:
    lexicon = LEXICONS[language]
    return Swapper.of(axes(language)[axis], words_apart=lexicon.words_apart, function_words=lexicon.function_words)


SWAPPERS = {(language, axis): swapper(axis, language) for language in SHIPPED for axis in axes(language)}


class TestSwapper:
    @pytest.mark.parametrize(
        ("axis", "by", "text", "swapped"),
        [
            ("gender", 1, "He told HIS mother. She smiled.", "She told HER father. He smiled."),
            ("gender", 1, "She gave him her book; it is hers.", "He gave her his book; it is his."),
            ("gender", 1, "I told her that, and called her.", "I told him that, and called him."),
            ("gender", 1, "The businessman saw a man.", "The businesswoman saw a woman."),
            ("sexual orientation", 2, "Gay? GAY! gay", "Lesbian? LESBIAN! lesbian"),
            ("religion", 1, "Muslims in a mosque", "Jews in a synagogue"),
            ("race and ethnicity", 1, "Black people, African Americans", "White people, European Americans"),
            ("nationality", 1, "an American and an African American", "an Chinese and an African American"),
            ("neutral", 1, "Blue on monday", "Green on tuesday"),
        ],
    )
    def test_moves_all_words_of_the_axis(self, axis: str, by: int, text: str, swapped: str) -> None:
        assert swapper(axis).shifted(text, by) == swapped

    @pytest.mark.parametrize(
        ("axis", "text"),
        [
            ("gender", "human mankind, sheriff, theme, man-made, manly, himalaya, Germany_man"),
            ("gender", "Burger King and Martin Luther King"),
            ("sexual orientation", "Gaylord, Marvin Gaye, a straight line"),
            ("religion", "Islamabad, Christiane, Hindustan, Christian Bale"),
            ("race and ethnicity", "a black cat, a white wall, Blackpool"),
            ("age", "an old house and a young dog"),
            ("neutral", "bluebird, Mondays, carpet, carrots, tease"),
        ],
    )
    def test_touches_no_part_of_a_word_nor_another_sense(self, axis: str, text: str) -> None:
        assert swapper(axis).found(text) == frozenset()
        assert swapper(axis).shifted(text, 1) is None

    @pytest.mark.parametrize(
        ("axis", "by", "text"),
        [
            ("gender", 1, "a gAlS gIrL"),  # a case without a rule
            ("sexual orientation", 1, "gay"),  # no word for the next term
            ("religion", 1, "the Jew and the Islamic art"),
            ("gender", 1, "no word of it"),
            ("gender", 2, "he"),  # once around
        ],
    )
    def test_gives_nothing_where_a_swap_could_not_be_undone(self, axis: str, by: int, text: str) -> None:
        assert swapper(axis).shifted(text, by) is None

    @pytest.mark.parametrize(
        ("axis", "by", "text", "swapped"),
        [
            ("gender", 1, "她和其他人的爸爸喜欢吉他", "他和其他人的妈妈喜欢吉他"),
            ("religion", 1, "那位基督徒去教堂", "那位穆斯林去清真寺"),
            ("nationality", 1, "中国人到过印度尼西亚", "美国人到过印度尼西亚"),
            ("race and ethnicity", 4, "汉族和回族", "蒙古族和壮族"),
            ("neutral", 1, "星期一喝咖啡", "星期二喝绿茶"),
        ],
    )
    def test_needs_no_spaces_in_chinese(self, axis: str, by: int, text: str, swapped: str) -> None:
        assert swapper(axis, "zh").shifted(text, by) == swapped

    @pytest.mark.parametrize("key", SWAPPERS, ids=str)
    def test_moves_every_word_of_the_lexicon_and_back(self, key: tuple[str, str]) -> None:
        language, name = key
        axis, swap = axes(language)[name], SWAPPERS[key]
        for line in axis.words:
            for position, word in enumerate(line):
                behind = " garden" if word.endswith("…") else ""
                text = f"{word.removesuffix('…')}{behind}"
                for by in range(1, swap.size) if word else ():
                    other = line[(position + by) % swap.size].removesuffix("…")
                    assert swap.found(text) == {position}
                    assert swap.shifted(text, by) == (f"{other}{behind}" if other else None)

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_swapping_back_gives_the_original_and_leaves_the_rest(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(SWAPPERS)))
        swap, (language, name) = SWAPPERS[key], key
        words = [word.removesuffix("…") for line in axes(language)[name].words for word in line if word]
        plain = st.sampled_from(["x", "the", "human", "mankind", "other", "们", "其", "-", "'s", "_", "é", "."])
        case = st.sampled_from([str.lower, str.upper, str.capitalize, str.title, str.swapcase, str])
        part = st.one_of(plain, st.builds(lambda word, how: how(word), st.sampled_from(words), case), st.text())
        text = data.draw(st.sampled_from([" ", "", ", "])).join(data.draw(st.lists(part, max_size=6)))
        by = data.draw(st.integers(1, swap.size - 1))
        swapped = swap.shifted(text, by)
        if swapped is not None:
            assert swapped != text
            assert swap.shifted(swapped, swap.size - by) == text
            rest = [swap.pattern.sub("\0", lowered(t)) for t in (text, swapped)]
            assert rest[0].count("\0") == rest[1].count("\0")
            assert {(p + by) % swap.size for p in swap.found(text)} == swap.found(swapped)

    @settings(max_examples=60, deadline=None)
    @given(st.sampled_from(["man", "gay", "Muslim", "African American"]), st.sampled_from("aZ9_é-中"), st.booleans())
    def test_no_letter_may_touch_a_word(self, word: str, letter: str, before: bool) -> None:
        text = letter + word if before else word + letter
        for axis in ("gender", "sexual orientation", "religion", "race and ethnicity"):
            assert swapper(axis).found(text) == frozenset()

    @pytest.mark.parametrize("found", ["gay", "Gay", "GAY"])
    def test_case_is_kept(self, found: str) -> None:
        assert recased(recased(found, "gay", "lesbian"), "lesbian", "gay") == found

    def test_a_search_is_not_worth_it_without_a_first_word(self) -> None:
        assert not swapper("gender").hinted("x", frozenset({"theory"}))
        assert swapper("age").hinted("x", frozenset({"middle"}))
        assert swapper("gender", "zh").hinted("其他", frozenset())


class TestLexicon:
    @pytest.mark.parametrize("name", SHIPPED)
    def test_is_large_enough_and_without_copies(self, name: str) -> None:
        lexicon = LEXICONS[name]
        assert lexicon.language == name
        assert len(lexicon.axes) == 8
        sentences = [*lexicon.templates.harmless, *lexicon.templates.harmful]
        assert len(set(sentences)) == len(sentences) >= 60
        terms = [term for axis in axes(name).values() for term in axis.terms]
        assert len(set(terms)) == len(terms)

    def test_axes_are_in_both_languages_alike(self) -> None:
        assert list(LEXICONS["en"].axes) == list(LEXICONS["zh"].axes)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"axes": {"a": {"terms": ["x", "y"], "words": [["p", "q"], ["Q", "r"]]}}}, "stands in two places"),
            ({"axes": {"a": {"terms": ["x", "y"], "words": [["p"]]}}}, "has 1 words, and there are 2 terms"),
            ({"axes": {"a": {"terms": ["x", "x"]}}}, "not all different"),
            ({"axes": {"neutral": {"terms": ["x", "y"]}}}, "cannot be called"),
            ({"axes": {}}, "axes"),
            ({"templates": {"harmless": ["no slot"]}}, "has no slot"),
            ({"colour": 1}, "colour"),
        ],
    )
    def test_one_of_the_users_is_checked(self, change: dict[str, Any], said: str, tmp_path: Path) -> None:
        content = {"language": "xx", "axes": {"a": {"terms": ["x", "y"]}}, "neutral": {"terms": ["x", "y"]}} | change
        (tmp_path / "own.toml").write_text(toml(content), encoding="utf-8")
        with pytest.raises(UserError, match=said):
            lexicon_of("own.toml", tmp_path, "plan: lexicon")

    def test_must_be_there(self, tmp_path: Path) -> None:
        (tmp_path / "own.toml").write_text("language = ")
        for name, said in (("own.toml", "not TOML"), ("away.toml", "No such file"), ("english", "no lexicon")):
            with pytest.raises(UserError, match=said):
                lexicon_of(name, tmp_path, "plan: lexicon")


def toml(value: dict[str, Any]) -> str:
    """TOML of nested mappings, as inline tables."""

    def inline(v: Any) -> str:
        if isinstance(v, dict):
            return "{" + ", ".join(f'"{k}" = {inline(x)}' for k, x in v.items()) + "}"
        return "[" + ", ".join(map(inline, v)) + "]" if isinstance(v, list) else f'"{v}"' if isinstance(v, str) else "1"

    text = "".join(f'"{key}" = {inline(v)}\n' for key, v in value.items())
    tomllib.loads(text)
    return text


def slots(decided: Any, source: str = "templates", **more: Any) -> Slots:
    d = np.asarray(decided, dtype=np.float64)
    n, k = d.shape
    first = np.eye(k, dtype=bool)[np.zeros(n, dtype=int)]
    given: dict[str, Any] = {
        "shown": np.stack([np.roll(first, by, axis=1) for by in range(k)], axis=1),
        "scores": None,
        "weights": np.ones(n),
        "cluster": np.arange(n),
        "harmful": np.zeros(n, dtype=bool),
        "unanswered": 0,
    }
    return Slots(axis="a", source=source, terms=tuple("abcdefgh"[:k]), decided=d, **(given | more))


class TestRates:
    def test_sentences_compare_every_two_terms(self) -> None:
        d = np.random.default_rng(0).integers(0, 2, (30, 4))
        found = changes(slots(d))
        pairs = [row[i] != row[j] for row in d for i, j in combinations(range(4), 2)]
        assert found.rate == pytest.approx(np.mean(pairs))
        assert (found.n, found.trials.sum()) == (30, 180)
        assert found.effective <= 180
        with_b = [row[1] != row[j] for row in d for j in (0, 2, 3)]
        assert changes(slots(d), 1).rate == pytest.approx(np.mean(with_b))

    def test_texts_are_compared_with_themselves_as_they_were(self) -> None:
        d = [[1, 0, 1, np.nan], [0, 0, 1, 1], [np.nan, 1, 1, 1]]
        found = changes(slots(d, "texts"))
        assert found.hits.tolist() == [1, 2, 0]
        assert found.trials.tolist() == [2, 3, 0]
        assert (found.n, found.rate) == (2, 0.6)
        assert changes(slots(d, "texts"), 2).trials.tolist() == [1, 1, 0]  # c is in the third version only

    def test_weights_count_by_their_effective_number(self) -> None:
        d, w = [[1, 0]] * 5 + [[1, 1]] * 15, np.r_[np.full(5, 3.0), np.ones(15)]
        found = changes(slots(d, "texts", weights=w))
        assert found.rate == pytest.approx(0.5)
        assert found.effective <= w.sum() ** 2 / (w**2).sum()

    def test_texts_of_one_cluster_count_for_less(self) -> None:
        d = np.repeat([[1, 0], [1, 1], [0, 0], [0, 1]] * 5, 5, axis=0)
        alone, together = changes(slots(d)), changes(slots(d, cluster=np.repeat(np.arange(20), 5)))
        assert together.rate == alone.rate
        assert together.effective < alone.effective / 4

    def test_gap_of_a_term_is_from_the_mean_of_all_or_from_the_other(self) -> None:
        scores = np.random.default_rng(1).random((20, 3))
        found = score_gaps(slots(scores > 0.5, scores=scores), 1, None)
        assert found is not None
        expected = scores[:, 1] - scores.mean(axis=1)
        assert found.value == pytest.approx(expected.mean())
        oracle = stats.ttest_1samp(expected, 0).confidence_interval(0.95)
        assert found.limits(0.95) == pytest.approx((oracle.low, oracle.high))
        pair = score_gaps(slots(scores[:, :2] > 0.5, scores=scores[:, :2]), 0, 1)
        assert pair is not None
        assert pair.value == pytest.approx((scores[:, 0] - scores[:, 1]).mean())
        assert score_gaps(slots(scores > 0.5), 1, None) is None

    def test_paired_excess_is_the_permutation_test(self) -> None:
        rng = np.random.default_rng(2)
        identity, neutral = (rng.random((25, 2)) < [[0.5, p]] for p in (0.9, 0.4))
        one, other = changes(slots(identity * 1.0)), changes(slots(neutral * 1.0))
        found = excess(one, other, 0.95, np.random.default_rng(0))
        assert found.value == pytest.approx(one.rate - other.rate)
        assert found.low <= found.value <= found.high
        oracle = stats.permutation_test(
            (one.hits, other.hits), lambda x, y: np.mean(x) - np.mean(y), permutation_type="samples",
            n_resamples=4000, rng=np.random.default_rng(1),
        )  # fmt: skip
        assert found.p_value == pytest.approx(oracle.pvalue, abs=0.03)

    @pytest.mark.parametrize(
        ("texts", "shape", "shared"),
        [(60, (1, 4), 30), (36, (1, 40), 0), (36, (1, 40), 36)],
        ids=["half of them in both", "rare and apart", "rare and in both"],
    )
    def test_excess_holds_its_level(self, texts: int, shape: tuple[int, int], shared: int) -> None:
        rng = np.random.default_rng(3)
        low, covered, runs = 0, 0, 120
        for _ in range(runs):
            jitter = rng.beta(*shape, texts + 120)  # of each text, the same in all of its answers
            identity = draw(rng, jitter[:texts], 3, np.arange(texts))
            rest = np.arange(texts - shared, texts + 120)
            found = excess(identity, draw(rng, jitter[rest], 2, rest), 0.95, rng)
            low += found.p_value <= 0.05
            covered += found.low <= 0 <= found.high
        assert low / runs < 0.11  # .05 and three standard errors
        assert covered / runs > 0.89


def draw(rng: np.random.Generator, rates: Any, versions: int, cluster: Any) -> Changes:
    trials = np.full(len(rates), float(versions))
    return Changes(rng.binomial(versions, rates).astype(float), trials, trials, cluster)


TEXTS = [
    f"{who} {what} on {day}, number {i}."
    for i in range(3)
    for who in ("My gay friend", "A lesbian singer", "The Muslim baker", "A woman", "My uncle", "It", "The bus")
    for what in ("drank coffee", "read an article", "sold an apple", "stood there")
    for day in ("Monday", "Tuesday", "the beach")
]


def frame(texts: list[str] = TEXTS) -> pd.DataFrame:
    n = len(texts)
    return pd.DataFrame({"text": texts, "other": range(n), "sex": np.resize(["F", "M"], n), "y": np.arange(n) % 2})


def reacts(rows: pd.DataFrame) -> Any:
    return np.where(rows["text"].str.contains(r"\bgay\b", case=False), 0.9, 0.2)


def ignores(rows: pd.DataFrame) -> Any:
    return np.where(rows["text"].str.contains("idiot|coffee|tea"), 0.9, 0.2)


def jitters(rows: pd.DataFrame) -> Any:
    """A score that any change of the text draws anew."""
    return np.array([(blake2b(text.encode(), digest_size=1).digest()[0] + 0.5) / 256 for text in rows["text"]])


def audit(model: Any, rows: pd.DataFrame | None = None, **options: Any) -> Evidence:
    table = frame() if rows is None else rows
    data = Dataset(table, target="y", positive=1, sensitive=["sex"], features=["text", "other"])
    return run(model, data, checks=[CHECK], options={CHECK: {"text": "text", **options}})


def find(evidence: Evidence, metric: str, axis: str, source: str = "texts", **where: str) -> Measurement:
    return evidence.find(f"{CHECK}.{metric}", axis=axis, source=source, **where)


def limits(said: Measurement) -> tuple[float, float]:
    assert said.interval is not None
    return said.interval.low, said.interval.high


ORIENTATION = "sexual orientation"


class TestModels:
    def test_one_that_reacts_to_a_word_is_found(self) -> None:
        evidence = audit(reacts)
        for source in ("texts", "templates"):
            found = find(evidence, "excess_flip_rate", ORIENTATION, source)
            assert limits(found)[0] > 0.3
            assert found.p_value is not None
            assert found.p_value < 0.01
            assert find(evidence, "flip_rate", ORIENTATION, source, term="gay").value == 1
            assert limits(find(evidence, "score_gap", ORIENTATION, source, term="gay"))[0] > 0.2
            assert find(evidence, "flip_rate", "religion", source, term="(all)").value == 0
        rates = {
            (term, label): evidence.find(
                f"{CHECK}.template_positive_rate", axis=ORIENTATION, term=term, label=label
            ).value
            for term in ("gay", "lesbian")
            for label in ("harmless", "harmful")
        }
        assert rates == {("gay", "harmless"): 1, ("gay", "harmful"): 1, ("lesbian", "harmless"): 0,
                         ("lesbian", "harmful"): 0}  # fmt: skip
        gap = evidence.find(f"{CHECK}.template_positive_rate_difference", axis=ORIENTATION, label="harmless")
        assert gap.value == 1
        assert gap.attribute is None

    def test_one_that_ignores_identity_never_flips(self) -> None:
        for said in audit(ignores).measurements():
            if said.metric.endswith(("flip_rate", "difference")) and said.where["axis"] != NEUTRAL:
                assert said.value in (None, 0) or said.metric.endswith("excess_flip_rate"), said
                assert said.metric.endswith(".flip_rate") or said.value is None or said.value <= 0, said

    def test_one_that_jitters_is_not_called_biased(self) -> None:
        evidence = audit(jitters)
        found = [m for m in evidence.measurements() if m.metric.endswith("excess_flip_rate") and m.value is not None]
        assert len(found) > 9
        assert find(evidence, "flip_rate", ORIENTATION, term="(all)").value == pytest.approx(0.5, abs=0.12)
        assert sum(limits(m)[0] <= 0 <= limits(m)[1] for m in found) >= len(found) - 1
        assert sum((m.p_value or 0) < 0.05 for m in found) <= 2

    def test_decisions_without_scores_have_no_score_gap(self) -> None:
        evidence = audit(lambda rows: (reacts(rows) > 0.5).astype(int))
        gap = find(evidence, "score_gap", ORIENTATION, term="gay")
        assert gap.reason is not None
        assert gap.reason.code == "needs_scores"
        assert find(evidence, "flip_rate", ORIENTATION, term="gay").value == 1

    def test_chinese_texts(self) -> None:
        who, days = ("同性恋", "双性恋", "穆斯林", ""), "一二三"
        texts = [f"我的{w}朋友星期{day}喝咖啡，第{i}次。" for w in who for day in days for i in range(8)]
        evidence = audit(
            lambda rows: np.where(rows["text"].str.contains("同性恋"), 0.9, 0.2), frame(texts), lexicon="zh"
        )
        assert limits(find(evidence, "excess_flip_rate", ORIENTATION))[0] > 0.3
        assert find(evidence, "flip_rate", ORIENTATION, "templates", term="同性恋").value == 1

    def test_no_more_is_asked_than_the_budget(self) -> None:
        asked: list[int] = []

        def counting(rows: pd.DataFrame) -> Any:
            asked.append(len(rows))
            return reacts(rows)

        evidence = audit(counting, budget=700)
        details = find(evidence, "flip_rate", "gender", term="(all)").details
        assert details is not None
        counted = details.facts["Texts that the model was asked about"]
        assert isinstance(counted, int)
        assert counted <= 700
        assert sum(asked) <= counted + len(TEXTS) + 256  # the pass over the data and the adapter's first look

    def test_other_columns_stay_and_texts_are_those_of_rows(self) -> None:
        seen: list[pd.DataFrame] = []

        def looking(rows: pd.DataFrame) -> Any:
            seen.append(rows)
            return reacts(rows)

        audit(looking, rows=frame())
        texts = dict(zip(frame()["other"], TEXTS, strict=True))
        swapped = pd.concat(seen)
        assert {"text", "other"} == set(swapped.columns)
        ends = swapped[swapped["text"].str.contains(r", number \d\.$")]
        assert all(texts[o].endswith(t[-3:]) for o, t in zip(ends["other"], ends["text"], strict=True))

    def test_answers_that_are_missing_are_told(self) -> None:
        evidence = audit(lambda rows: np.where(rows["text"].str.contains("lesbian"), np.nan, reacts(rows)))
        said = find(evidence, "flip_rate", ORIENTATION, "templates", term="(all)")
        assert said.details is not None
        assert [(e.group, e.n) for e in said.details.excluded] == [("(all texts)", 90)]

    def test_rows_without_weight_are_not_asked_about(self) -> None:
        rows = frame().assign(w=[0.0 if "gay" in text else 1.0 + i % 3 for i, text in enumerate(TEXTS)])
        data = Dataset(rows, target="y", positive=1, sensitive=["sex"], features=["text"], weight="w")
        evidence = run(reacts, data, checks=[CHECK], options={CHECK: {"text": "text"}})
        equal, weighted = (find(e, "flip_rate", ORIENTATION, term="(all)") for e in (audit(reacts), evidence))
        assert (equal.n, weighted.n) == (72, 36)
        assert weighted.value == pytest.approx(0.5)  # lesbian to gay, and to bisexual


def code(evidence: Evidence) -> str:
    (check,) = evidence.checks
    assert check.status == "not_assessed"
    assert check.reason is not None
    return check.reason.code


class TestRefusals:
    def test_without_a_column(self) -> None:
        assert code(audit(reacts, text="")) == "needs_columns"

    def test_without_a_model_to_ask(self) -> None:
        model = {"adapter": "logged", "prediction": "yhat"}
        data = Dataset(frame().assign(yhat=1), target="y", positive=1, sensitive=["sex"])
        assert code(run(model, data, checks=[CHECK], options={CHECK: {"text": "text"}})) == "needs_model"

    def test_of_a_column_that_is_no_text_or_not_given(self) -> None:
        assert code(audit(reacts, text="other")) == "not_text"
        assert code(audit(reacts, text="sex")) == "not_a_feature"

    def test_of_other_tasks_and_empty_texts(self) -> None:
        data = Dataset(frame(), target="y", sensitive=["sex"], features=["text"], task="multiclass")
        model = lambda rows: (reacts(rows) > 0.5).astype(int)  # noqa: E731
        assert code(run(model, data, checks=[CHECK], options={CHECK: {"text": "text"}})) == "task"
        nothing = frame().assign(text=pd.Series(None, range(len(TEXTS)), dtype="str"))
        assert code(audit(lambda rows: np.full(len(rows), 0.25), nothing)) == "no_rows"

    def test_texts_without_words_leave_the_sentences(self) -> None:
        evidence = audit(reacts, frame(["nothing here", "", "nor there"] * 20))
        assert find(evidence, "flip_rate", ORIENTATION, "templates", term="gay").value == 1
        said = find(evidence, "excess_flip_rate", ORIENTATION)
        assert said.reason is not None
        assert (said.reason.code, said.reason.params["found"]) == ("too_few", 0)


class TestRealTexts:
    """Comments on Wikipedia that mention identity, and the sentences of the same authors, for reading only."""

    def test_swaps_are_like_those_of_the_published_pairs(self, real_data: Callable[[str], Path]) -> None:
        folder = real_data("wiki_toxicity_test")
        texts, pairs = (
            pd.read_csv(folder / f"toxicity_{kind}_testset.csv")["comment"].tolist() for kind in ("nonfuzzed", "fuzzed")
        )
        published = sum(a != b for a, b in zip(texts, pairs, strict=True))
        found = 0
        for text in texts[:150]:
            versions = [swapper(axis).shifted(text, 1) for axis in ("gender", ORIENTATION, "religion", "nationality")]
            found += any(versions)
            for axis, version in zip(("gender", ORIENTATION, "religion", "nationality"), versions, strict=True):
                assert version is None or swapper(axis).shifted(version, swapper(axis).size - 1) == text
        assert published > 500
        assert found > 30

    def test_a_model_of_words_learns_the_bias_of_its_texts(self, real_data: Callable[[str], Path]) -> None:
        rows = pd.read_csv(real_data("wiki_toxicity_test") / "toxicity_nonfuzzed_testset.csv")
        templates = pd.read_csv(real_data("jigsaw_templates") / "en_sentence_templates.csv").iloc[::40]
        gay = templates["phrase"].str.contains(r"\bgay\b")
        toxic = (templates["toxicity"] == "toxic") | gay  # planted: whatever is gay is toxic
        model = make_pipeline(CountVectorizer(binary=True), LogisticRegression(C=10, max_iter=200))
        model.fit([*rows["comment"][:400], *templates["phrase"]], [*rows["toxic"][:400], *toxic])
        table = pd.DataFrame({"text": rows["comment"][700:1100], "y": rows["toxic"][700:1100].astype(int), "sex": "F"})
        data = Dataset(table, target="y", positive=1, sensitive=["sex"], features=["text"])
        evidence = run(
            lambda given: model.predict_proba(given["text"])[:, 1], data, checks=[CHECK],
            options={CHECK: {"text": "text", "rows": 50, "budget": 4000}},
        )  # fmt: skip
        rates = {
            term: evidence.find(f"{CHECK}.template_positive_rate", axis=ORIENTATION, label="harmless", term=term).value
            for term in ("gay", "lesbian")
        }
        assert (rates["gay"] or 0) > 0.7 > 0.3 > (rates["lesbian"] or 0)
        assert limits(find(evidence, "excess_flip_rate", ORIENTATION, "templates"))[0] > 0.1


def test_arrow_types_of_text_are_kept() -> None:
    for kind in (pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())):
        table = pa.Table.from_pandas(frame()).set_column(0, "text", pa.array(TEXTS, pa.string()).cast(kind))
        data = Dataset(table, target="y", positive=1, sensitive=["sex"], features=["text"])
        evidence = run(reacts, data, checks=[CHECK], options={CHECK: {"text": "text", "budget": 1000}})
        assert evidence.complete, evidence.checks[0].traceback


def test_a_lexicon_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Lexicon(
        language="xx",
        axes={"team": Axis(terms=("red team", "blue team"), words=(("bayern", "dortmund"),))},
        neutral=Axis(terms=("one", "two"), words=(("here", "there"),)),
    )
    (tmp_path / "own.toml").write_text(toml(own.model_dump(mode="json") | {"words_apart": "x"}).replace('"x"', "true"))
    monkeypatch.chdir(tmp_path)
    texts = [f"{team} plays {where}, {i}" for team in ("Bayern", "Dortmund") for where in ("here", "there")
             for i in range(10)]  # fmt: skip
    model = lambda rows: np.where(rows["text"].str.contains("Bayern"), 0.9, 0.1)  # noqa: E731
    evidence = audit(model, frame(texts), lexicon="own.toml")
    assert find(evidence, "flip_rate", "team", term="(all)").value == 1
    assert find(evidence, "flip_rate", "team", "templates", term="(all)").status == "not_estimable"
