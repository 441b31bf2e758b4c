"""What a page is made of, read as a browser reads it."""

from html.parser import HTMLParser


class Outline(HTMLParser):
    """Tags of a page in order, and addresses that a browser would fetch; fails on a tag left open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "onload")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    @property
    def is_self_contained(self) -> bool:
        """Whether nothing is fetched or run."""
        known = all(one.startswith(("data:image/png;base64,", "#section-")) for one in self.fetched)
        return known and "script" not in self.tags
