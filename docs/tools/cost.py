#!/usr/bin/env python3
"""The tables of docs/COST.md, from the dated prices in prices.json.

Usage: cost.py [--write | --count]

Without an option it compares: it fails when the tables in COST.md are not those that the prices give.
--write   writes them anew
--count   reads `terraform show -json PLAN` from standard input and prints the alarms and what they are billed as,
          the figures that prices.json holds for each profile
"""

import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
PAGE = HERE.parent / "COST.md"
METRICS = HERE.parents[1] / "infra/tests/data"
ZONES = 3
ROUTES = 8  # of the API, each with detailed metrics
BASTION_METRICS = 7  # what EC2's detailed monitoring publishes
SECONDS_PER_HOUR = 3600
MARK = "\\*"  # beside what rests on a price without a date
UNDATED = f"no date {MARK}"


class Book:
    """Prices, assumptions and profiles."""

    def __init__(self):
        self.data = json.loads((HERE / "prices.json").read_text(encoding="utf-8"))
        self.hours = self.data["hours_per_month"]
        self.assumed = self.data["assumptions"]

    def usd(self, name, amount=1):
        """The price of an amount."""
        return self.data["prices"][name]["usd"] * amount

    def dated(self, *names):
        """True when each price has a dated source."""
        return all(self.data["prices"][name]["read"] for name in names)

    def profile(self, name):
        """Settings of a profile: the variables' defaults, and what differs from them."""
        return {**self.data["defaults"], **self.data["profiles"][name]["settings"]}


def paid_kafka_metrics(settings):
    """How many metrics a broker publishes at level PER_BROKER; those of tiered storage are not there without it."""
    published = json.loads((METRICS / "cloudwatch-metrics.json").read_text(encoding="utf-8"))
    names = published[f"AWS/Kafka/{settings['broker_type']}"].items()
    return sum(1 for name, metric in names if metric["level"] == "PER_BROKER" and not name.startswith("Remote"))


def function_metrics(settings):
    """How many metrics the functions write: every consumer has the same ones in a namespace of its own."""
    written = json.loads((METRICS / "function-metrics.json").read_text(encoding="utf-8"))
    return len(written["producer"]) + len(settings["consumers"]) * len(written["consumer"])


def network(book, settings):
    """NAT gateways with their addresses and traffic, or endpoints."""
    if settings["use_vpc_endpoints"]:
        services = 3 + (5 if settings["enable_bastion"] else 0)
        yield "VPC endpoints", book.usd("endpoint_hour", services * ZONES * book.hours), ["endpoint_hour"]
        return
    # As `nat_zones` in infra/bastion.tf: on-demand pollers leave from every zone, the bastion from one.
    single = settings["single_nat_gateway"] if settings["single_nat_gateway"] is not None else settings["esm_mode"] != "on_demand"
    gateways = 1 if single else ZONES
    hours = gateways * book.hours
    cost = book.usd("nat_hour", hours) + book.usd("public_ipv4", hours) + book.usd("nat_gb", book.assumed["nat_gb"])
    yield "NAT gateways", cost, ["nat_hour", "public_ipv4", "nat_gb"]


def brokers(book, settings):
    """Brokers and, when it is paid in advance, their storage."""
    express = settings["broker_type"] == "express"
    kind = settings["broker_instance_type"] or ("express.m7g.large" if express else "kafka.m7g.large")
    count = settings["broker_count"]
    yield "brokers", book.usd(kind, count * book.hours), [kind]
    if express:
        yield "broker storage", 0, []  # by use, in the second table
    else:
        size = settings["storage"].get("size_gib", book.assumed["storage_gib"])
        yield "broker storage", book.usd("msk_storage", count * size), ["msk_storage"]


def monitoring(book, settings, profile):
    """Alarms, metrics, dashboards, Prometheus, Grafana."""
    count = settings["broker_count"]
    alarms = book.usd("alarm", profile["alarm_metrics"]) + book.usd("composite_alarm", profile["composite_alarms"]) + book.usd("dashboard")
    yield "alarms, dashboard", alarms, ["alarm", "composite_alarm", "dashboard"]
    yield "broker metrics (PER_BROKER)", book.usd("metric", count * paid_kafka_metrics(settings)), ["metric"]
    api = 6 * ROUTES
    bastion = BASTION_METRICS if settings["enable_bastion"] else 0
    yield "metrics of functions, API, bastion", book.usd("metric", function_metrics(settings) + api + bastion), ["metric"]
    prometheus, names = 0, []
    if settings["metrics_backend"] != "none":
        scrapes = book.hours * SECONDS_PER_HOUR / settings["scrape_interval_seconds"]
        samples = count * book.assumed["samples_per_broker_and_scrape"] * scrapes
        prometheus, names = book.usd("amp_samples", samples / 1e7), ["amp_samples"]
        if settings["metrics_backend"] == "amp":
            prometheus, names = prometheus + book.usd("amp_collector", book.hours), names + ["amp_collector"]
    yield "Prometheus workspace, scraper", prometheus, names
    yield "logs", book.usd("logs_gb", book.assumed["log_gb"]), ["logs_gb"]


def fixed(book, name):
    """Rows of what a profile costs without a single message: what, dollars a month, prices used."""
    settings, profile = book.profile(name), book.data["profiles"][name]
    yield from brokers(book, settings)
    yield from network(book, settings)
    if settings["enable_bastion"]:
        kind = settings["bastion"].get("instance_type", book.assumed["bastion_instance_type"])
        size = settings["bastion"].get("volume_gib", book.assumed["bastion_volume_gib"])
        yield "bastion", book.usd(kind, book.hours) + book.usd("gp3", size), [kind, "gp3"]
    else:
        yield "bastion", 0, []
    yield from monitoring(book, settings, profile)
    # Each topic of each consumer has a mapping, with one unit of pollers at least.
    consumed = [name for name, topic in settings["topics"].items() if topic.get("consumed", True)]
    mappings = sum(len(consumer.get("topics") or consumed) for consumer in settings["consumers"].values())
    pollers = mappings * book.hours if settings["esm_mode"] == "provisioned" else 0
    yield "event source mapping", book.usd("event_poller_unit", pollers), ["event_poller_unit"] if pollers else []
    yield "keys", 2 * book.usd("kms_key"), ["kms_key"]


def cell(book, cost, names):
    """Dollars without cents below a thousand; marked when a price has no dated source."""
    if not names:
        return "-" if cost == 0 else f"{cost:,.0f}"
    return f"{cost:,.0f}" + ("" if book.dated(*names) else f" {MARK}")


def fixed_table(book):
    """One row for each part, one column for each profile, the sum below."""
    names = list(book.data["profiles"])
    columns = {name: list(fixed(book, name)) for name in names}
    lines = ["| USD a month | " + " | ".join(f"`{name}`" for name in names) + " |", "|---|" + "---:|" * len(names)]
    for row in zip(*columns.values()):
        lines.append(f"| {row[0][0]} | " + " | ".join(cell(book, cost, prices) for _, cost, prices in row) + " |")
    sums = [sum(cost for _, cost, _ in columns[name]) for name in names]
    lines.append("| **sum** | " + " | ".join(f"**{total:,.0f}**" for total in sums) + " |")
    hourly = [total / book.hours for total in sums]
    lines.append("| an hour | " + " | ".join(f"{cost:.2f}" for cost in hourly) + " |")
    return lines


def per_million(book, batch, express):
    """Rows of what a million messages cost when `batch` of them travel in one request."""
    assumed, requests = book.assumed, 1 / batch
    gigabytes = assumed["memory_mb"] / 1024
    stored = 1e6 * assumed["record_kb"] / 1e6  # GB
    yield "API", book.usd("api_requests", requests)
    yield "producer", book.usd("lambda_requests", requests) + book.usd("lambda_gb_second", 1e6 / batch * assumed["producer_ms"] / 1000 * gigabytes)
    reads = 1e6 / assumed["batch_records"]
    yield "consumer", book.usd("lambda_requests", reads / 1e6) + book.usd("lambda_gb_second", reads * assumed["consumer_ms_per_batch"] / 1000 * gigabytes)
    written = 1e6 / batch * assumed["log_bytes_per_request"] + reads * assumed["log_bytes_per_batch"] + 1e6 * assumed["log_bytes_per_record"]
    yield "logs", book.usd("logs_gb", written / 1e9)
    yield "Express: written and kept", (book.usd("express_ingress", stored) + book.usd("express_storage", stored * assumed["retention_days"] / 30)) if express else 0


def per_million_table(book):
    """By the number of records in a request."""
    columns = [("1 record", list(per_million(book, 1, False))), ("100 records", list(per_million(book, 100, False))), ("100, Express", list(per_million(book, 100, True)))]
    lines = ["| USD a million messages | " + " | ".join(name for name, _ in columns) + " |", "|---|" + "---:|" * len(columns)]
    for row in zip(*(rows for _, rows in columns)):
        lines.append(f"| {row[0][0]} | " + " | ".join(f"{cost:.3f}" if cost else "-" for _, cost in row) + " |")
    lines.append("| **sum** | " + " | ".join(f"**{sum(cost for _, cost in rows):.2f}**" for _, rows in columns) + " |")
    return lines


def prices_table(book):
    """Every price with its date."""
    lines = ["| Price | USD | for each | Read | Source |", "|---|---:|---|---|---|"]
    for name, price in book.data["prices"].items():
        source = f"<{price['source']}>" if price["source"].startswith("https://") else price["source"]
        lines.append(f"| `{name}` | {price['usd']} | {price['unit']} | {price['read'] or UNDATED} | {source} |")
    return lines


def filled(text, marker, lines):
    """The page with the lines between a pair of markers."""
    pattern = re.compile(rf"(<!-- {marker} -->\n).*?(<!-- /{marker} -->)", re.S)
    if not pattern.search(text):
        raise SystemExit(f"COST.md has no <!-- {marker} --> ... <!-- /{marker} -->")
    table = "\n".join(lines)
    return pattern.sub(lambda match: f"{match.group(1)}\n{table}\n\n{match.group(2)}", text)


def count():
    """Alarms in a plan, and the metrics that they are billed by; a band counts as three."""
    plan = json.load(sys.stdin)
    resources = plan["planned_values"]["root_module"]["resources"]  # all alarms are the root's; the modules have none
    alarms = [it["values"] for it in resources if it["type"] == "aws_cloudwatch_metric_alarm"]
    composites = sum(1 for it in resources if it["type"] == "aws_cloudwatch_composite_alarm")
    billed = sum(3 if it.get("threshold_metric_id") else max(1, sum(1 for query in it.get("metric_query") or [] if query.get("metric"))) for it in alarms)
    print(f'"alarms": {len(alarms)}, "alarm_metrics": {billed}, "composite_alarms": {composites}')


def main():
    if "--count" in sys.argv:
        return count()
    book = Book()
    text = PAGE.read_text(encoding="utf-8")
    wanted = text
    for marker, lines in (("fixed", fixed_table(book)), ("traffic", per_million_table(book)), ("prices", prices_table(book))):
        wanted = filled(wanted, marker, lines)
    if "--write" in sys.argv:
        PAGE.write_text(wanted, encoding="utf-8")
    elif wanted != text:
        raise SystemExit("the tables in docs/COST.md are not those of docs/tools/prices.json. Write them anew: docs/tools/cost.py --write")
    print("COST.md: tables match the prices")
    return None


if __name__ == "__main__":
    main()
