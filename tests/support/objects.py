"""Keys for objects, and the keys that a place for objects lists."""

from hypothesis import strategies as st

from tidemark.objects import Objects

# What S3 and every file system take; "a.b" and "a-b" sort before "a/b", "ab" after it.
NAMES = st.text(alphabet="ab.-_~ %#?&=+*\\\"'é\u4e2d\U0001f600", min_size=1, max_size=12).filter(
    lambda name: name not in {".", ".."}
)
KEYS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


def keys(objects: Objects, prefix: str = "", start_after: str | None = None) -> list[str]:
    return [found.key for found in objects.list(prefix, start_after=start_after)]
