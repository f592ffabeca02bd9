"""What a Prometheus may answer that is no answer: each is told as what it is, within one deadline."""

import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socketpair
from threading import Event, Thread, Timer
from threading import enumerate as enumerate_threads

import numpy as np
import pytest
from httpcore._backends.sync import SyncStream
from pydantic import ValidationError

from tasks.base.errors import RefusedError, ToolFailedError, UnreachableError
from tasks.base.prometheus import PrometheusPolicy, Ready, Trend
from tasks.prometheus.client import range_query
from tasks.prometheus.http import _cut_after
from tasks.prometheus.trends import expression, review_trends

UNTIL = datetime(2026, 11, 21, tzinfo=UTC)
SERIES = {"metric": {"job": "shop"}, "values": [[1795219200, "1.5"], [1795219260, "NaN"], [1795219320, "+Inf"]]}
GOOD = {"status": "success", "data": {"resultType": "matrix", "result": [SERIES]}}


@contextmanager
def faulty(*answers):
    """A server that gives these answers (status, body) in their order, then the last again; what it was asked."""
    asked, over = [], Event()

    class Server(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            asked.append((self.path, dict(self.headers), body))
            status, text = answers[min(len(asked), len(answers)) - 1]
            if status == "hang":
                over.wait(20)
                return
            self.send_response(status)
            while text == "drip headers" and not over.wait(0.05):
                self.send_header("X-Drip", "a")
                self.flush_headers()
            self.end_headers()
            self.wfile.write(text.encode() if isinstance(text, str) else json.dumps(text).encode())
            if status == 200 and text == "drip":
                while not over.wait(0.05):
                    self.wfile.write(b" ")

        do_GET = do_POST

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        over.set()
        server.shutdown()
        server.server_close()


def ask(url, **changes):
    policy = PrometheusPolicy(url=url, **changes)
    return range_query(policy, "up", UNTIL - timedelta(days=1), UNTIL, 60)


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        ((422, {"status": "error", "error": "too many samples"}), RefusedError, "422: too many samples; correct the"),
        ((401, "no"), RefusedError, "answers 401; check prometheus.token"),
        ((404, "<html>"), RefusedError, "answers 404; check prometheus.url"),
        ((503, {"error": "timed out"}), UnreachableError, "503: timed out; it is overloaded"),
        ((200, "<html>sign in</html>"), ToolFailedError, "gives no answer of a Prometheus"),
        (
            (200, {"status": "success", "data": {"result": [{"metric": {}, "values": [[1, 2, 3]]}]}}),
            ToolFailedError,
            "no",
        ),
        ((200, {"status": "success", "data": None}), ToolFailedError, "gives no answer of a Prometheus"),
        (("hang", ""), UnreachableError, r"gave no whole answer within 0\.5 s"),
        ((200, "drip"), UnreachableError, r"gave no whole answer within 0\.5 s"),
        ((200, "drip headers"), UnreachableError, r"gave no whole answer within 0\.5 s"),
    ],
)
def test_an_answer_that_is_none_is_told_as_what_it_is(answer, error, said):
    seconds = 0.5 if "within" in said else 30
    with faulty(answer) as (url, asked), pytest.raises(error, match=said):
        ask(url, deadline_seconds=seconds)
    # A slow machine may have come to the deadline before the server was at it.
    assert len(asked) == 1 or answer[0] == 503 or ("within" in said and not asked)


def test_a_connection_that_opens_when_the_time_is_over_is_cut_at_once():
    ours, theirs = socketpair()
    with ours, theirs, _cut_after(0) as trace:
        for timer in [thread for thread in enumerate_threads() if isinstance(thread, Timer)]:
            timer.join(60)
        trace("connection.connect_tcp.complete", {"return_value": SyncStream(ours)})
        theirs.settimeout(5)
        assert theirs.recv(1) == b""


def test_a_server_that_is_not_there_is_told(monkeypatch):
    with faulty((200, GOOD)) as (url, _):
        pass
    with pytest.raises(UnreachableError, match="does not answer"):
        ask(url, deadline_seconds=2)


def test_one_that_was_overloaded_is_asked_again_with_the_same_question():
    with faulty((503, "starting"), (200, GOOD)) as (url, asked):
        answer = ask(url)
    assert len(asked) == 2
    assert asked[0][2] == asked[1][2]
    assert "query=up" in asked[0][2]
    (series,) = answer.series
    assert series.labels == {"job": "shop"}
    assert series.values[0] == 1.5
    assert np.isnan(series.values[1:]).all()
    assert series.at[0] == np.datetime64("2026-11-21T00:00:00")


def test_a_token_goes_into_the_header_and_nowhere_else(monkeypatch):
    monkeypatch.setenv("PROM_TOKEN", "planted-token-5")
    with faulty((200, GOOD), (401, "planted-token-5 is wrong")) as (url, asked):
        ask(url, token="env:PROM_TOKEN")
        with pytest.raises(RefusedError) as refused:
            ask(url, token="env:PROM_TOKEN")
    assert asked[0][1]["Authorization"] == "Bearer planted-token-5"
    assert "planted-token-5" not in str(refused.value)


def test_a_password_in_the_address_is_refused_without_being_shown():
    with pytest.raises(ValidationError, match="without a password"):
        PrometheusPolicy(url="http://user:planted-pass@prometheus:9090")


def test_an_answer_with_warnings_is_incomplete_and_never_green():
    trend = Trend(name="up", promql="up")
    with faulty((200, GOOD | {"warnings": ["a store is missing"]})) as (url, _):
        part = review_trends(PrometheusPolicy(url=url, trends=(trend,), periods_days=(7,)), "acme", 7)
    assert part.checks[0].verdict == "INCOMPLETE"
    assert "a store is missing" in part.checks[0].message


def test_without_a_prometheus_trends_are_not_asked_and_it_says_what_to_set():
    (check,) = review_trends(PrometheusPolicy(), "acme", 7).checks
    assert check.verdict == "INFO"
    assert "prometheus.trends" in check.message


def test_the_ready_trends_are_of_the_configured_histogram():
    policy = PrometheusPolicy(requests={"histogram": "rt", "selector": 'job="a"', "errors": 'code="500"'})
    said = {ready: expression(policy, Trend(name="x", ready=ready)) for ready in Ready}
    assert said["p99"] == 'histogram_quantile(0.99, sum by (le) (rate(rt_bucket{job="a"}[5m])))'
    assert said["throughput"] == 'sum(rate(rt_count{job="a"}[5m]))'
    assert 'rt_count{job="a",code="500"}' in said["error_rate"]
