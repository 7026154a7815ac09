"""Where in a JSON5 text a member goes in and what goes out with it: the style of its neighbours.

A member's own comments are those behind it on its line, and those that stand alone on the lines
directly above it, with no empty line between.
"""

from __future__ import annotations

from raftsup.config.json5.cst import BREAKS, Comment, Member, Value, comments, is_blank
from raftsup.config.json5.format import Style, formatted


def replace(text: str, whole: Value, old: Value, value: object) -> str:
    """Another value in place of ``old``."""
    style = style_of(text, whole)
    new = formatted(value, style, _indent_at(text, old.start), room=_room(text, old.start))
    return text[: old.start] + new + text[old.end :]


def insert(text: str, whole: Value, holder: Value, keys: tuple[str, ...], value: object) -> str:
    """A new last member of the object ``holder``; ``keys`` beyond the first make objects."""
    style = style_of(text, whole)
    close = holder.end - 1
    last = holder.members[-1] if holder.members else None
    # An empty object opens up, but not in the middle of a text that is one line.
    opens = last is None and (holder == whole or _breaks(text, whole.start, whole.end))
    after = last.end if last else holder.start + 1
    for comment in comments(text, after, close):
        # One that stands alone would become the new member's own, and go when that goes.
        if last is not None and _breaks(text, after, comment.start):
            break
        after = comment.end
    for key in reversed(keys[1:]):
        value = {key: value}
    if opens or _breaks(text, holder.start, close):
        new = _on_its_line(text, holder, after, style, (keys, value))
    else:
        member = f"{style.key(keys[0])}: {formatted(value, style, room=None)}"
        comma = "," if last and last.comma is not None else ""
        before = "" if is_blank(text[after - 1]) else " "
        behind = " " if after == close and (not last or text[holder.start + 1] == " ") else ""
        new = text[:after] + before + member + comma + behind + text[after:]
    if last is not None and last.comma is None:
        # Behind the value itself: a comment may stand between it and the new member.
        new = new[: last.value.end] + "," + new[last.value.end :]
    return new


def _on_its_line(
    text: str, holder: Value, after: int, style: Style, entry: tuple[tuple[str, ...], object]
) -> str:
    """``entry`` (its keys, and the value of the first) on a line of its own behind ``after``."""
    keys, value = entry
    outer = _indent_at(text, holder.start)
    indent = _members_indent(text, holder, outer + style.unit)
    key = style.key(keys[0]) + ": "
    shown = formatted(value, style, indent, room=len(key), spread=len(keys) - 1)
    last = holder.members[-1] if holder.members else None
    comma = last.comma is not None if last else style.trailing
    rest = text[after : holder.end - 1]
    if not _breaks(rest, 0, len(rest)):
        rest = style.newline + outer
    member = indent + key + shown + ("," if comma else "")
    return text[:after] + style.newline + member + rest + text[holder.end - 1 :]


def take_out(text: str, holder: Value, member: Member) -> str:
    """Without ``member`` and its own comments."""
    close = holder.end - 1
    place = holder.members.index(member)
    before = holder.members[place - 1] if place else None
    begin = before.end if before else holder.start + 1
    line = _line_start(text, begin, member.start)
    if line is None:
        left, right = text[:begin], text[member.end :]
    else:
        end = _own_end(text, member, close)
        goes = text[end - 1] in BREAKS or end == close
        # Where others go on in this line, its indent stays.
        indent = "" if goes else text[line : _past(text, line)]
        left = text[: _own_start(text, begin, line, member)] + indent
        right = text[end if goes else _past(text, end) :]
    if before is not None and member.comma is None and before.comma is not None:
        # That is the last one now, and without a comma as the last one was.
        left = left[: before.comma] + left[before.comma + 1 :]
    inside = left[holder.start + 1 :] + right[: len(right) - (len(text) - close)]
    if len(holder.members) == 1 and not inside.strip(BREAKS + " \t"):
        return text[: holder.start] + "{}" + text[close + 1 :]
    return left + right


def _own_start(text: str, begin: int, line: int, member: Member) -> int:
    """Where what belongs to ``member``, in the line that begins at ``line``, begins."""
    for comment in reversed(list(comments(text, begin, member.start))):
        above = _line_start(text, begin, comment.start)
        if comment.start < line:
            if above is None or not _ends_just_before(text, comment, line):
                break
            line = above
    return line


def _own_end(text: str, member: Member, close: int) -> int:
    """Where what belongs to ``member`` ends: with its line, if nothing else stands in it."""
    end = member.end
    for comment in comments(text, end, close):
        if _breaks(text, end, comment.end):
            break
        end = comment.end
    after = _past(text, end)
    if text[after] in BREAKS:
        return after + (2 if text.startswith("\r\n", after) else 1)
    return close if after == close else member.end


def _line_start(text: str, begin: int, at: int) -> int | None:
    """Where the line of ``at`` begins; None if that is before ``begin``. Just space and comments
    stand between the two.
    """
    line = None
    while begin < at:
        if text.startswith(("//", "/*"), begin):
            begin = next(comments(text, begin, at)).end
        else:
            begin += 1
            if text[begin - 1] in BREAKS:
                line = begin
    return line


def _ends_just_before(text: str, comment: Comment, line: int) -> bool:
    """Whether the comment is the line that ends where ``line`` begins."""
    after = _past(text, comment.end)
    return after + (2 if text.startswith("\r\n", after) else 1) == line


def _past(text: str, at: int) -> int:
    while at < len(text) and is_blank(text[at]):
        at += 1
    return at


def _breaks(text: str, start: int, end: int) -> bool:
    return any(c in BREAKS for c in text[start:end])


def _indent_at(text: str, at: int) -> str:
    """The blanks that the line of ``at`` begins with."""
    line = at
    while line and text[line - 1] not in BREAKS:
        line -= 1
    return text[line : _past(text, line)].replace("\ufeff", "")


def _room(text: str, at: int) -> int:
    """How much of its line, after the indent, stands before ``at``."""
    line = at
    while line and text[line - 1] not in BREAKS:
        line -= 1
    return at - line - len(_indent_at(text, at))


def _members_indent(text: str, holder: Value, otherwise: str) -> str:
    for member in reversed(holder.members):
        at = member.start
        while is_blank(text[at - 1]):
            at -= 1
        if text[at - 1] in BREAKS:
            return text[at : member.start]
    return otherwise


def style_of(text: str, whole: Value) -> Style:
    """How the text is written, from what stands in it."""
    members = [member for value in _objects(whole) for member in value.members]
    lasts = [value.members[-1] for value in _objects(whole) if value.members]
    outer = _indent_at(text, whole.start)
    unit = _members_indent(text, whole, outer + "  ").removeprefix(outer)
    return Style(
        newline=next((b for b in ("\r\n", "\n", "\r") if b in text), "\n"),
        unit=unit or "  ",
        quoted=bool(members) and all(text[m.start] == '"' for m in members),
        trailing=any(m.comma is not None for m in lasts) or not members,
    )


def _objects(value: Value) -> list[Value]:
    found = [value] if value.members else []
    for part in (*(member.value for member in value.members), *value.elements):
        found += _objects(part)
    return found
