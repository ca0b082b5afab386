import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from fairwitness.reports.visible import BLANK_LETTERS, name, visible

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=40)  # lone surrogates too


@given(ANY_TEXT)
def test_everything_that_is_left_can_be_seen_and_encoded(text: str) -> None:
    for shown in (visible(text), name(text)):
        shown.encode()
        assert not any(
            unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} or c in BLANK_LETTERS
            for c in shown
            if c not in "\n\t"
        )
    assert not {"\n", "\t", "\r", "\u00a0"} & set(name(text))


@given(ANY_TEXT)
def test_making_visible_twice_changes_nothing_more(text: str) -> None:
    assert visible(visible(text)) == visible(text)


@given(st.text(max_size=8), st.text(max_size=8))
def test_different_names_look_different(a: str, b: str) -> None:
    if a != b and "‹" not in a + b:
        assert name(a) != name(b)


def test_long_names_that_differ_at_the_end_stay_distinct() -> None:
    a, b = name("x" * 10_239 + "a"), name("x" * 10_239 + "b")
    assert a.startswith("x" * 60 + "… [10,240 characters, #")
    assert a != b


def test_a_long_name_may_hold_a_lone_surrogate() -> None:
    name("\ud800" * 100).encode()


def test_what_hides() -> None:
    assert visible("a\x00b\u200bc\u2066d\ufeffe\U000e0041f\ue000g\u2028h\u3164") == (
        "a‹U+0000›b‹U+200B›c‹U+2066›d‹U+FEFF›e‹U+E0041›f‹U+E000›g‹U+2028›h‹U+3164›"
    )


def test_scripts_of_the_world_are_left_alone() -> None:
    for text in ("女性", "Ñandú", "ذكر", "महिला", "שלום", "a\u3000b"):
        assert visible(text) == text


def test_markup_stays_markup() -> None:
    shown = visible(Markup("<b>\u202e</b>"))
    assert isinstance(shown, Markup)
    assert shown == "<b>‹U+202E›</b>"
