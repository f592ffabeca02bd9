"""The heartbeat of a run that ended well, and one message for a run that did not."""

import logging

import httpx

from tasks.base.secrets import mask, resolve
from tasks.base.system import Alerting

log = logging.getLogger("nightshift.alerts")
_TIMEOUT_SECONDS = 10.0


def ping_heartbeat(alerting: Alerting) -> None:
    """GET the system's heartbeat URL, when it has one. A failure is logged: the missing ping rings."""
    if alerting.heartbeat_url:
        _send("heartbeat", "GET", resolve(alerting.heartbeat_url), None)


def send_message(alerting: Alerting, text: str) -> None:
    """POST {'text': …} to the system's webhook, when it has one; secrets are masked. A failure is logged."""
    if alerting.webhook_url:
        _send("webhook", "POST", resolve(alerting.webhook_url), {"text": mask(text)})


def _send(what: str, method: str, url: str, body: dict[str, str] | None) -> None:
    try:
        httpx.request(method, url, json=body, timeout=_TIMEOUT_SECONDS).raise_for_status()
    except httpx.HTTPError as error:
        # Never the URL itself: it often holds a token.
        log.warning("the %s was not delivered: %s; check its URL in the system file", what, type(error).__name__)
