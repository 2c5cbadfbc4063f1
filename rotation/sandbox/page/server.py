"""Serves the page on loopback, and refuses what other pages of the same browser ask for.

A page of another origin cannot read this one (same-origin policy), unless it has its own name
resolved to 127.0.0.1: so a request must name the host 127.0.0.1 or localhost. It could send a form
here all the same: so each form bears a token that only this page knows.
"""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime, timedelta
from typing import Final, Self

from flask import Flask, Response, abort, redirect, render_template, request, url_for

from rotation.sandbox.aws.server import LocalServer
from rotation.sandbox.deployment import SECRET, Deployment
from rotation.sandbox.page.actions import NAMES, ActionRefusedError, Actions
from rotation.sandbox.page.lives import KeyPhase
from rotation.sandbox.page.view import Viewer
from rotation.sandbox.vendor import VendorPortal

_HOSTS: Final = ["127.0.0.1", "localhost"]
_LARGEST_FORM: Final = 4096

#: What each phase means, for who sees the timeline for the first time.
_MEANINGS: Final = {
    KeyPhase.ISSUED: "The vendor has made it. No version of the secret bears a label for it.",
    KeyPhase.PENDING: "AWSPENDING: a rotation tests it.",
    KeyPhase.CURRENT: "AWSCURRENT: applications sign with it.",
    KeyPhase.GRACE: "Replaced. It still signs for who has it in a cache.",
    KeyPhase.DEAD: "Revoked or expired. The vendor refuses it.",
}

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class SandboxPage:
    """The page of one sandbox; a context manager that serves it.

    Args:
        deployment: the sandbox, which is running.
        portal: the emulated vendor's portal.

    Attributes:
        actions: what its buttons do.
    """

    def __init__(self, deployment: Deployment, portal: VendorPortal) -> None:
        self.actions = Actions(deployment, portal)
        self._viewer = Viewer(deployment, portal, self.actions)
        self._key_pool = deployment.key_pool
        self._token = secrets.token_urlsafe()
        self._notice = ""
        self.application = self._application()

    @property
    def url(self) -> str:
        """The page's address."""
        return f"{self._server.url}/"

    def __enter__(self) -> Self:
        self.observe()
        self._server = LocalServer(self.application)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.stop()

    def observe(self) -> None:
        """Note in which phase each key is now, for the timeline."""
        self._viewer.observe()

    def _application(self) -> Flask:
        application = Flask(__name__)
        application.config["TRUSTED_HOSTS"] = _HOSTS
        application.config["MAX_CONTENT_LENGTH"] = _LARGEST_FORM
        application.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
        application.add_template_filter(_short, "short")
        application.add_template_filter(_time_of_day, "time_of_day")
        application.add_template_filter(_size, "size")
        application.add_template_filter(_gap, "gap")
        application.add_url_rule("/", "page", self._page)
        application.add_url_rule("/act/<name>", "act", self._act, methods=["POST"])
        application.add_url_rule("/sealed/<path:name>", "sealed", self._sealed)
        # A browser asks for an icon by itself where a PDF names none.
        application.add_url_rule("/favicon.ico", "icon", lambda: ("", 204))
        application.after_request(_with_headers)
        return application

    def _page(self) -> str:
        view = self._viewer.view()
        return render_template(
            "page.html",
            view=view,
            leaked={stolen.key.id for stolen in view.stolen},
            notice=self._notice,
            token=self._token,
            secret=SECRET,
            phases=list(KeyPhase),
            meanings=_MEANINGS,
            one_hour=timedelta(hours=1),
            key_pool=self._key_pool,
        )

    def _act(self, name: str) -> Response:
        given = request.form.get("token", "").encode()
        if name not in NAMES:
            abort(404)
        if not hmac.compare_digest(given, self._token.encode()):
            abort(403, "The form is not of this page. Load the page again.")
        try:
            self._notice = self.actions.perform(name, request.form)
        except ActionRefusedError as error:
            self._notice = str(error)
        return redirect(url_for("page"), 303)  # type: ignore[return-value]

    def _sealed(self, name: str) -> Response:
        document = self._viewer.document(name)
        if document is None:
            abort(404)
        answer = Response(document, mimetype="application/pdf")
        # What a browser shows a PDF with is a page of its own, which may need more than ours.
        answer.headers["Content-Security-Policy"] = "frame-ancestors 'none'"
        return answer


def _with_headers(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _short(identifier: str) -> str:
    return identifier[:8]


def _time_of_day(time: datetime) -> str:
    return f"{time:%H:%M:%S}"


def _size(size: int) -> str:
    return f"{max(1, round(size / 1000))} kB"


def _gap(earlier: datetime, later: datetime) -> str:
    """How much later, where that is a minute or more; empty otherwise."""
    minutes = (later - earlier) // timedelta(minutes=1)
    if minutes < 1:
        return ""
    return f"{minutes} min later" if minutes < 60 else f"{minutes // 60} h later"
