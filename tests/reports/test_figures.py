from hypothesis import example, given
from hypothesis import strategies as st

from fairwitness.reports import figures

FINITE = st.floats(-1e300, 1e300)


@given(FINITE)
def test_a_printed_number_is_close_to_the_number(value: float) -> None:
    text = figures.number(value).replace(",", "").replace("−", "-")
    if "×" in text:
        mantissa, power = text.split(" × 10")
        text = f"{mantissa}e{power.translate(str.maketrans('⁰¹²³⁴⁵⁶⁷⁸⁹⁻', '0123456789-'))}"
    assert abs(float(text) - value) <= 0.05 * abs(value)


@given(FINITE)
def test_counts_are_printed_whole(value: float) -> None:
    assert figures.number(float(round(value % 1e9)), whole=True).replace(",", "").isdigit()


def test_no_negative_zero() -> None:
    assert figures.number(-0.0) == "0.000"


@example(0.00051)
@given(st.floats(1e-9, 0.02))
def test_a_small_number_keeps_two_digits(value: float) -> None:
    shown = figures.number(value)
    assert "×" in shown or abs(float(shown) - value) <= 0.051 * value


def test_a_small_number_is_not_zero() -> None:
    assert figures.number(0.0004) == "0.00040"


def test_a_value_beyond_its_bound_does_not_look_equal_to_it() -> None:
    decimals = figures.decimals_apart([0.10004], [0.1])
    assert figures.number(0.10004, decimals) == "0.10004"


def test_shares_of_nothing() -> None:
    assert figures.share(0, 0) == "–"
