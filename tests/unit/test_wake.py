"""The wake contract's rules, over the space of what may be sent."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from raftsup.wake import (
    BODY_LIMIT,
    CONTENT_KEYS,
    IDENTITY_KEYS,
    MAX_DEPTH,
    Refused,
    Wake,
    check_host,
    check_token,
    parse,
)

# Without surrogates: they have no UTF-8.
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
KEYS = TEXT.filter(lambda key: key.casefold() not in CONTENT_KEYS)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=20
)


def refusal(body: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        parse(body)
    return caught.value


def dump(payload: Any) -> bytes:
    return json.dumps(payload).encode()


def nested(levels: int) -> Any:
    payload: Any = 1
    for level in range(levels):
        payload = [payload] if level % 2 else {"x": payload}
    return payload


@given(st.binary(max_size=300))
def test_any_bytes_are_a_wake_or_refused_with_400(body: bytes) -> None:
    with contextlib.suppress(Refused):
        assert isinstance(parse(body), Wake)
        return
    assert refusal(body).status == 400


@given(st.dictionaries(st.sampled_from(IDENTITY_KEYS) | TEXT, JSON | st.integers(10**300)) | JSON)
def test_any_json_is_a_wake_or_refused_with_400(payload: Any) -> None:
    body = dump(payload)
    with contextlib.suppress(Refused):
        assert isinstance(parse(body), Wake)
        return
    assert refusal(body).status == 400


@pytest.mark.parametrize("opening", [b"[", b'{"x":'])
@pytest.mark.parametrize("levels", [MAX_DEPTH, 900, 1023, 1024, 1025, BODY_LIMIT // 8])
def test_too_deep_is_refused_with_400_and_so_is_what_a_repeated_key_hides(
    opening: bytes, levels: int
) -> None:
    deep = opening * levels + b"1" + {b"[": b"]", b'{"x":': b"}"}[opening] * levels
    for body in (b'{"id":"a","x":%s}', b'{"id":"a","x":%s,"x":1}'):
        try:
            parse(body % deep)
        except Refused as error:
            assert error.status == 400
        else:
            # Hidden and within what both parsers take.
            assert body.endswith(b'"x":1}')
    assert "nested too deep" in refusal(b'{"id":"a","x":%s}' % deep).error


def test_the_stated_depth_is_taken() -> None:
    assert parse(dump({"id": "a", "x": nested(MAX_DEPTH - 1)})).identity == "a"
    assert str(MAX_DEPTH) in refusal(dump({"id": "a", "x": nested(MAX_DEPTH)})).error


@given(JSON.filter(lambda value: isinstance(value, dict | list)), st.data())
def test_a_content_key_anywhere_in_any_letter_case_is_refused(value: Any, data: Any) -> None:
    key = data.draw(st.sampled_from(sorted(CONTENT_KEYS)))
    upper = data.draw(st.lists(st.booleans(), min_size=len(key), max_size=len(key)))
    cased = "".join(c.upper() if up else c for c, up in zip(key, upper, strict=True))
    spots = [value]
    for spot in spots:
        inner = spot.values() if isinstance(spot, dict) else spot
        spots += [child for child in inner if isinstance(child, dict | list)]
    spot = data.draw(st.sampled_from(spots))
    if isinstance(spot, dict):
        spot[cased] = None
    else:
        spot.append({cased: None})
    # NaN is no JSON: refused for another reason.
    body = json.dumps({"eventId": "a", "x": value}).encode()
    assume(b"NaN" not in body and b"Infinity" not in body)
    assert "content-free" in refusal(body).error


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"a","x":{"text":1},"x":2}',
        b'{"id":"a","text":1,"text":2}',
        b'{"te\\u0078t":1,"id":"a"}',
    ],
)
def test_neither_a_repeated_key_nor_an_escape_hides_content(body: bytes) -> None:
    assert "content-free" in refusal(body).error


@given(st.dictionaries(KEYS.filter(lambda key: key not in IDENTITY_KEYS), st.text() | st.none()))
def test_an_unknown_field_or_schema_is_never_refused(fields: dict[str, Any]) -> None:
    with contextlib.suppress(UnicodeEncodeError):
        body = json.dumps({**fields, "eventId": "a"}, ensure_ascii=False).encode()
        assert parse(body) == Wake("a", None)


def test_a_word_of_the_contents_keys_as_a_value_or_inside_a_key_is_no_content() -> None:
    assert parse(b'{"eventId":"text","kind":"message","textual":1,"messageId":"body"}') == Wake(
        "text", "body"
    )


@given(st.permutations(IDENTITY_KEYS), st.integers(1, len(IDENTITY_KEYS)))
def test_the_first_of_the_identity_keys_names_the_delivery(order: list[str], count: int) -> None:
    present = order[:count]
    expected = min(present, key=IDENTITY_KEYS.index)
    assert parse(dump({key: f"is {key}" for key in present})).identity == f"is {expected}"


@pytest.mark.parametrize("invalid", ["", True, False, None, [], {}, ["a"]])
def test_what_is_no_identity_is_passed_over_for_the_next_key(invalid: Any) -> None:
    assert parse(dump({"eventId": invalid, "messageId": invalid, "id": 7})) == Wake("7", None)
    assert "no identity" in refusal(dump({"eventId": invalid})).error


def test_a_blank_string_is_a_non_empty_string() -> None:
    assert parse(b'{"eventId":"  ","id":"a"}').identity == "  "


@pytest.mark.parametrize(
    ("number", "identity"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("17", "17"),
        ("1.50", "1.50"),
        ("1e3", "1e3"),
        (f"{2**80}", f"{2**80}"),
    ],
)
def test_a_finite_number_names_the_delivery(number: str, identity: str) -> None:
    body = f'{{"eventId":{number},"messageId":{number}}}'.encode()
    assert parse(body) == Wake(identity, identity)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400"])
def test_a_number_that_is_not_finite_is_no_json(number: str) -> None:
    assert "not valid JSON" in refusal(f'{{"eventId":{number}}}'.encode()).error


@given(st.integers(-(10**40), 10**40), st.integers(-(10**40), 10**40))
@example(2**64, 2**64 + 1)
@example(2**63, 2**63 + 1)
def test_different_integers_name_different_deliveries(one: int, other: int) -> None:
    for key in ("eventId", "messageId"):
        first, second = parse(dump({key: one})), parse(dump({key: other}))
        assert (first == second) == (one == other)


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False))
def test_different_floats_name_different_deliveries(one: float, other: float) -> None:
    assume(math.isfinite(other) and one != other)
    assert parse(dump({"id": one})).identity != parse(dump({"id": other})).identity


@given(st.text("abcdefghij", min_size=12, max_size=12))
def test_no_refusal_quotes_a_value(secret: str) -> None:
    bodies = (
        f'{{"eventId":"{secret}","text":"{secret}"}}',
        f'["{secret}"]',
        f'{{"x":"{secret}"}}',
        f'{{"id":"{secret}"',
        f'"{secret}"',
        secret,
        f'{{"{secret}":{{"BODY":1}}}}',
    )
    for body in bodies:
        assert secret not in refusal(body.encode()).error


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b'{"id":"\xff"}', "UTF-8"),
        (b"{", "JSON"),
        (b'{"id":"a"}{}', "JSON"),
        (b"", "JSON"),
        (b"[]", "object"),
        (b"{}", "eventId"),
    ],
)
def test_a_refusal_says_what_is_wrong(body: bytes, names: str) -> None:
    assert names in refusal(body).error


@given(st.text(), st.text(min_size=1))
def test_only_the_token_itself_is_accepted(presented: str, expected: str) -> None:
    assume(presented != expected and expected.isprintable())
    check_token(expected, expected)
    for wrong in (presented, None, "", expected + "x", expected[:-1]):
        with pytest.raises(Refused) as caught:
            check_token(wrong, expected)
        assert (caught.value.status, caught.value.failure_class) == (401, "auth_revoked")


def test_an_empty_token_opens_nothing() -> None:
    with pytest.raises(Refused):
        check_token("", "")


@pytest.mark.parametrize("host", ["127.0.0.1:80", "localhost:80", "LOCALHOST:80", "[::1]:80"])
def test_each_loopback_name_with_the_port_is_a_host_of_ours(host: str) -> None:
    check_host(host, 80)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "127.0.0.1",
        "localhost",
        "127.0.0.1:81",
        "::1:80",
        "0.0.0.0:80",
        "127.0.0.2:80",
        "evil.example:80",
        "127.0.0.1:80,evil.example",
        "localhost.evil.example:80",
        "127.0.0.1:80 ",
    ],
)
def test_any_other_host_is_403(host: str | None) -> None:
    with pytest.raises(Refused) as caught:
        check_host(host, 80)
    assert (caught.value.status, caught.value.failure_class) == (403, "auth_revoked")


@pytest.mark.parametrize(
    ("status", "failure_class"),
    [
        (400, "injection_failed"),
        (401, "auth_revoked"),
        (403, "auth_revoked"),
        (404, "no_session"),
        (405, "protocol_mismatch"),
        (408, "busy"),
        (413, "injection_failed"),
        (500, "injection_failed"),
        (503, "busy"),
    ],
)
def test_each_status_has_the_failure_class_that_the_bridge_reads(
    status: int, failure_class: str
) -> None:
    assert Refused(status, "why").answer() == {
        "ok": False,
        "error": "why",
        "failureClass": failure_class,
    }
    assert Refused(status, "why", 50).answer()["retryAfterMs"] == 50
