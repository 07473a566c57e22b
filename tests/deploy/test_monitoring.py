"""Grafana's dashboard and Prometheus' alerts ask for metrics and labels that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from s3server.metrics.families import FAMILIES
from tests.support.server_process import ROOT

DASHBOARD = ROOT / "deploy/grafana/s3server.json"
RULES = ROOT / "deploy/prometheus/s3server.rules.yml"
PROMTOOL = shutil.which("promtool")
LABELS = {each.shown: {*each.labels} for each in FAMILIES if each.kind != "histogram"} | {
    f"{each.name}{end}": {*each.labels, *more}
    for each in FAMILIES
    if each.kind == "histogram"
    for end, more in (("_bucket", ("le",)), ("_sum", ()), ("_count", ()))
}


def panels() -> list[dict[str, Any]]:
    return [each for each in json.loads(DASHBOARD.read_text())["panels"] if each["type"] != "row"]


def dashboard_queries() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def rule_queries() -> list[str]:
    """Return the expressions; every one is on one line or folded by `>-`."""
    folded = re.sub(r">-\n +(.*)\n +(.*)\n", r"\1 \2\n", RULES.read_text())
    return re.findall(r"expr: (.*)", folded)


@pytest.mark.parametrize("query", [*dashboard_queries(), *rule_queries()])
def test_metrics_and_labels_of_a_query_exist(query: str) -> None:
    names = set(re.findall(r"\b(?:s3server_\w+|up)\b", re.sub(r'"[^"]*"', "", query))) - {"up"}
    assert names <= LABELS.keys()
    known = set[str]().union(*(LABELS[name] for name in names))
    asked = set(re.findall(r"(\w+)(?:=~|!=|=)\"", query))
    asked |= {name for group in re.findall(r"by \(([^)]*)\)", query) for name in group.split(", ")}
    assert asked - {"job"} <= known


def test_legends_name_labels_of_their_queries() -> None:
    for panel in panels():
        for target in panel["targets"]:
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                kept = re.findall(r"by \(([^)]*)\)", target["expr"])
                if kept:
                    assert any(label in group.split(", ") for group in kept), target


def test_every_part_of_the_server_is_on_the_dashboard() -> None:
    text = " ".join(dashboard_queries())
    shown = {each.name for each in FAMILIES if each.name in text}
    assert {each.name for each in FAMILIES} - shown <= {
        "s3server_map_epoch",
        "s3server_garbage_set_aside",
        "s3server_project_state",
        *(f"s3server_user_{what}" for what in ("bytes", "objects", "requests", "traffic_bytes")),
        *(f"s3server_bucket_{what}" for what in ("objects", "requests", "traffic_bytes")),
    }


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_prometheus_understands_alerts_and_queries(tmp_path: Path) -> None:
    shutil.copy(RULES, tmp_path / RULES.name)
    shutil.copy(Path(__file__).with_name("alerts.yml"), tmp_path / "alerts.yml")
    queries = [each.replace("$__rate_interval", "5m") for each in dashboard_queries()]
    recorded = [{"record": f"q{at}", "expr": each} for at, each in enumerate(queries)]
    group = {"groups": [{"name": "dashboard", "rules": recorded}]}
    (tmp_path / "dashboard.yml").write_text(json.dumps(group))  # YAML, as all JSON is

    promtool("check", "rules", RULES.name, "dashboard.yml", at=tmp_path)
    promtool("test", "rules", "alerts.yml", at=tmp_path)


def promtool(*arguments: str, at: Path) -> None:
    done = subprocess.run(
        [str(PROMTOOL), *arguments], cwd=at, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
