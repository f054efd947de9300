"""Pages as somebody without scripts uses them: forms read from the HTML, filled in and sent as a browser would, and what a
page says as text."""

from html.parser import HTMLParser
from urllib.parse import urljoin

import requests

from harness import people


class Form:
    def __init__(self, attributes):
        self.method = (attributes.get("method") or "get").upper()
        self.action = attributes.get("action") or ""
        # [name, value, whether it is sent as it is], in order.
        self.fields = []
        self.buttons = []

    def data(self, filled):
        """Name and value pairs, with `filled` over what is there; a list ticks the boxes of these values."""
        pairs = []
        for name, value, kind, is_set in self.fields:
            if name not in filled:
                pairs += [(name, value)] if is_set else []
            elif kind == "checkbox":
                pairs += [(name, value)] if value in filled[name] else []
            else:
                pairs.append((name, filled[name]))
        unknown = set(filled) - {field[0] for field in self.fields}
        assert not unknown, f"no such fields: {unknown}"
        return pairs


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.forms = []
        self.form = None
        self.text = []
        self.in_button = False

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "form":
            self.form = Form(attributes)
            self.forms.append(self.form)
        elif self.form is None:
            return
        elif tag == "input" and attributes.get("name"):
            kind = attributes.get("type", "text")
            is_set = kind not in ("checkbox", "radio") or "checked" in attributes
            self.form.fields.append((attributes["name"], attributes.get("value", ""), kind, is_set))
        elif tag == "textarea":
            self.form.fields.append((attributes["name"], "", "textarea", True))
        elif tag == "button":
            self.form.buttons.append(attributes.get("aria-label", ""))
            self.in_button = "aria-label" not in attributes
        elif tag == "select":
            self.form.fields.append((attributes["name"], "", "select", True))
        elif tag == "option" and "selected" in attributes:
            name = self.form.fields[-1][0]
            self.form.fields[-1] = (name, attributes.get("value", ""), "select", True)

    def handle_endtag(self, tag):
        if tag == "form":
            self.form = None
        elif tag == "button":
            self.in_button = False

    def handle_data(self, data):
        self.text.append(data)
        if self.form is not None and self.in_button:
            self.form.buttons[-1] += data


def read(html):
    """(its forms, its text)"""
    reader = _Reader()
    reader.feed(html)
    return reader.forms, " ".join(" ".join(reader.text).split())


class Visitor:
    """Somebody who has signed in on the pages, or nobody."""

    def __init__(self, server, name=None, passcode=people.PASSCODE):
        self.server = server
        self.session = requests.Session()
        if name is not None:
            data = {"name": name, "passcode": passcode}
            answer = self.session.post(f"{server.url}/sign-in", data=data, allow_redirects=False, timeout=60)
            assert answer.status_code == 303, answer.text
        # As browsers say with each form.
        self.session.headers["Origin"] = server.url

    def get(self, path, **keywords):
        return self.session.get(urljoin(self.server.url, path), headers={"Accept": "text/html"}, timeout=60, **keywords)

    def send(self, page, button, headers=None, **filled):
        """Fills in the form of a page whose button says so, and sends it."""
        answer = self.get(page)
        assert answer.status_code == 200, (page, answer.status_code, answer.text)
        forms = [form for form in read(answer.text)[0] if button in form.buttons]
        assert len(forms) == 1, (page, button, len(forms))
        form = forms[0]
        sent = {"params" if form.method == "GET" else "data": form.data(filled)}
        return self.session.request(
            form.method, urljoin(answer.url, form.action), headers={"Accept": "text/html"} | (headers or {}), timeout=60, **sent
        )  # fmt: skip

    def api(self, method, path, **keywords):
        return self.session.request(method, f"{self.server.url}/api/v1{path}", timeout=60, **keywords)
