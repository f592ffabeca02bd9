"""The commands that show a person what a review of a log says."""

import shlex

from tasks.base.log_review import LogSource, PodLogs


def listing(source: LogSource) -> str:
    """Where its lines should be."""
    return source.pods.command if source.pods else f"ls -l {' '.join(source.files)}"


def newest_lines(source: LogSource) -> str:
    """Its last lines, or those of a pod of it."""
    return f"{_logs(source.pods)} --tail=3" if source.pods else f"tail -n 3 {source.files[0]}"


def search(source: LogSource, pattern: str) -> str:
    """Its lines that the expression fits."""
    if source.pods:
        return f"{_logs(source.pods)} --tail=-1 | grep -P {shlex.quote(pattern)}"
    return f"zgrep -P {shlex.quote(pattern)} {source.files[0]}"


def _logs(pods: PodLogs) -> str:
    # kubectl logs takes one pod or a selector: this one fits every pod.
    selector = shlex.quote(pods.selector or "!none")
    return f"kubectl -n {shlex.quote(pods.namespace)} logs -l {selector} --all-containers --timestamps"
