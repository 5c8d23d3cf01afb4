#!/usr/bin/env python3
"""Prepares one plan for every combination of the toggles, one for each further choice, and one for each example.

Usage: matrix.py INFRA-FOLDER FOLDER

FOLDER gets a copy of the configuration without its provider block, a root that calls the copy once for each plan, and
tests/part-N.tftest.hcl. `terraform test -verbose -filter=tests/part-N.tftest.hcl` then plans them; render.tf puts out
what rendered.py and policies.py read. Several plans in one run share what a run costs by itself: starting the provider
and reading its schema take longer than the plan.
"""

import itertools
import pathlib
import re
import shutil
import sys

# More in one run is slower again: Terraform's graph grows.
PLANS_A_RUN = 8
# Files that can run side by side.
PARTS = 4

# Every combination of these is planned.
TOGGLES = {
    "broker_type": ['"standard"', '"express"'],
    "esm_mode": ['"on_demand"', '"provisioned"'],
    "metrics_backend": ['"amp"', '"bastion"', '"none"'],
    "enable_managed_grafana": ["false", "true"],
    "use_vpc_endpoints": ["false", "true"],
    "authorization": ['"AWS_IAM"', '"JWT"', '"NONE"'],
}

AUTHORIZATION = {
    '"AWS_IAM"': {},
    '"JWT"': {"api": '{ authorization = "JWT", jwt = { issuer = "https://login.example.com", audience = ["publishers"] } }'},
    '"NONE"': {"api": '{ authorization = "NONE" }', "allow_unauthenticated_api": "true"},
}

# Without internet the bastion pulls from ECR alone.
ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
IMAGES = {"bastion": f'{{ kafka_ui_image = "{ECR}/kafka-ui:v1.5.0" }}', "bastion_prometheus_image": f'"{ECR}/prometheus:v3.5.0"'}

# Of a consumer beside the first: the zip that there is, and names of its own.
ZIP = 'zip = "./config/tests/fixtures/lambda/consumer/bootstrap.zip"'
NAMES = 'consumer_group = "{name}-{consumer}-{topic}", dead_letter_topic = "{topic}.{consumer}.dlq"'
# Kept to refuse an old name.
REFUSED = {"consumer"}

# Choices that change one thing each.
CHOICES = {
    "defaults": {},
    "single_nat_gateway": {"single_nat_gateway": "true"},
    "schemas_elsewhere": {"schemas_directory": '"./config/tests/fixtures"'},
    "no_bastion": {"enable_bastion": "false"},
    "no_bastion_and_no_internet": {"enable_bastion": "false", "use_vpc_endpoints": "true"},
    "public_bastion": {"bastion_public": "true", "allowed_cidrs": '["203.0.113.7/32"]'},
    "six_brokers": {"broker_count": "6"},
    "small_brokers": {"broker_instance_type": '"kafka.t3.small"'},
    "fixed_storage": {"storage": "{ autoscaling = false }"},
    "scram": {"client_authentication": "{ scram = true }"},
    "x86_64": {"function_architecture": '"x86_64"'},
    "kafka_options": {"kafka_options": '{ "metadata.max.age.ms" = "60000" }'},
    "topics_with_policies": {
        "topics": '{ orders = { policy = { key = "required", max_record_bytes = 65536, formats = ["json", "cloudevents"] } }, '
        'payments = { partitions = 3, policy = { stamp_principal = true, principals = ["arn:aws:iam::123456789012:role/team/shop", '
        '"arn:aws:iam::123456789012:user/*", "arn:aws:sts::123456789012:federated-user/kim", "sub:user-7", "scope:payments/write", "client_id:job"] } }, '
        "audit = { consumed = false }, inbound = { produced = false } }",
        "default_topic": '"payments"',
        "publishers": '{ billing = { topics = ["orders", "payments"], trusted = ["arn:aws:iam::210987654321:role/billing"], external_id = "x-1" } }',
    },
    "nothing_consumed": {"topics": "{ audit = { consumed = false } }"},
    "no_dead_letter": {"consumers": '{ consumer = { dead_letter_topic = "" } }'},
    "no_dead_letter_provisioned": {"consumers": '{ consumer = { dead_letter_topic = "" } }', "esm_mode": '"provisioned"'},
    "one_dead_letter_topic": {"consumers": '{ consumer = { dead_letter_topic = "all.dlq" } }'},
    "failures_to_a_queue": {
        "consumers": '{ consumer = { failure_destination = "arn:aws:sqs:us-east-1:123456789012:failures" } }',
        "esm_mode": '"provisioned"',
    },
    "failures_to_a_topic": {
        "consumers": '{ consumer = { failure_destination = "arn:aws:sns:us-east-1:123456789012:failures", failure_destination_kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/failures" } }',
        "esm_mode": '"provisioned"',
    },
    "failures_to_a_bucket": {
        "consumers": '{ consumer = { failure_destination = "arn:aws:s3:::failures", failure_destination_kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/failures" } }',
        "esm_mode": '"provisioned"',
    },
    "ordering_key": {"consumers": '{ consumer = { ordering = "key", concurrency = 64 } }'},
    "two_consumers": {
        "topics": "{ orders = {}, payments = {} }",
        "consumers": f'{{ consumer = {{ topics = ["orders"] }}, payments = {{ topics = ["payments"], {ZIP} }} }}',
    },
    "three_consumers_share_a_topic": {
        "topics": "{ orders = {}, payments = {}, audit = { produced = false } }",
        "consumers": f'{{ consumer = {{ topics = ["orders"] }}, projection = {{ topics = ["orders", "payments"], {ZIP}, {NAMES}, environment = {{ APP_TABLE = "orders" }}, '
        'policy_statements = [{ actions = ["dynamodb:PutItem"], resources = ["arn:aws:dynamodb:us-east-1:123456789012:table/orders"] }], '
        'egress = { tables = { port = 443, prefix_list_ids = ["pl-02cd2c6b"] }, partner = { port = 8443, cidrs = ["203.0.113.7/32"] } } }, '
        f'archive = {{ topics = ["audit"], {ZIP}, dead_letter_topic = "", publishes = ["orders"] }} }}',
    },
    "consumers_with_failures_apart": {
        "topics": "{ orders = {}, payments = {} }",
        "consumers": f'{{ consumer = {{ topics = ["orders"], failure_destination = "arn:aws:sqs:us-east-1:123456789012:failures" }}, '
        f'payments = {{ topics = ["orders", "payments"], {ZIP}, {NAMES} }} }}',
        "esm_mode": '"provisioned"',
    },
    "no_consumers": {"topics": "{ orders = { consumed = false } }", "consumers": "{}"},
    "ordering_none": {"consumers": '{ consumer = { ordering = "none" } }'},
    "compatibility_confluent": {"producer": '{ compatibility = "confluent" }'},
    "small_limits": {"producer": "{ delivery_timeout_ms = 3000, max_request_bytes = 1048576, max_records = 10, max_record_bytes = 65536 }"},
    "canary": {"producer": '{ canary = { version = "1", weight = 0.9 } }'},
    "provisioned_concurrency": {"producer": "{ provisioned_concurrency = 2 }"},
    "debug_logs": {"log_level": '"debug"'},
    "trace_logs": {"log_level": '"trace"'},
    "another_name": {"name": '"orders-prod"'},
    "kafka_4_1": {"kafka_version": '"4.1.x.kraft"'},
    "every_format": {
        "topics": '{ orders = { policy = { key = "optional", formats = ["json", "binary", "text", "cloudevents", "ndjson", "raw"] } } }',
    },
    "four_copies": {"broker_count": "6", "replication_factor": "4", "min_insync_replicas": "3"},
    "other_broker_settings": {"server_properties": '{ "log.retention.ms" = "259200000", "num.partitions" = "12" }'},
    "another_network": {"vpc_cidr": '"172.20.0.0/20"', "region": '"eu-central-1"', "availability_zones": '["eu-central-1a", "eu-central-1b", "eu-central-1c"]'},
    "boundary_and_tags": {"permissions_boundary_arn": '"arn:aws:iam::123456789012:policy/boundary"', "tags": '{ Owner = "team" }', "log_retention_days": "30"},
    "alarms_as_wanted": {
        "alarm_emails": '["oncall@example.com"]',
        "paging_topic_arns": '["arn:aws:sns:us-east-1:123456789012:pager"]',
        "runbook_url": '"https://example.com/runbooks"',
        "consumer_lag_limits": "{ time_lag_seconds = 60 }",
        "alarm_limits": "{ cpu_percent = 70, no_requests_minutes = 60 }",
    },
    "controllers_scraped": {"kraft_controller_endpoints": '["c-10001.msk.kafka.us-east-1.amazonaws.com"]', "scrape_interval_seconds": "30"},
    "prometheus_image": {"metrics_backend": '"bastion"', "bastion_prometheus_image": '"123456789012.dkr.ecr.us-east-1.amazonaws.com/prometheus:v3"', "bastion": '{ instance_type = "t3.small" }'},
    "grafana_for_a_group": {"enable_managed_grafana": "true", "grafana": '{ authentication_providers = ["AWS_SSO", "SAML"], admin_group_ids = ["g-1"], saml = { idp_metadata_url = "https://idp.example.com/metadata", admin_role_values = ["a"] } }'},
    "finest_metrics": {"enhanced_monitoring": '"PER_TOPIC_PER_PARTITION"'},
    "custom_domain": {
        "api": '{ domain = { name = "publish.example.com", certificate_arn = '
        '"arn:aws:acm:us-east-1:123456789012:certificate/00000000-1111-2222-3333-444444444444", hosted_zone_id = "Z0123456789" } }'
    },
    "adopted_network": {"existing_network": '{ vpc_id = "vpc-adopted", private_subnet_ids = ["subnet-a", "subnet-b", "subnet-c"] }'},
    "adopted_cluster": {
        "existing_network": '{ vpc_id = "vpc-adopted", private_subnet_ids = ["subnet-a", "subnet-b", "subnet-c"] }',
        "existing_cluster": '{ name = "adopted", security_group_id = "sg-adopted" }',
    },
}

MOCK = """
mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}
"""

ROOT = """# Written by tests/tools/matrix.py.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
    terraform = {
      source = "terraform.io/builtin/terraform"
    }
  }
}

variable "plans" {
  type = any
}

variable "examples" {
  type    = map(string)
  default = {}
}

locals {
  plans = merge(var.plans, { for name, path in var.examples : name => provider::terraform::decode_tfvars(file(path)) })
}

module "plan" {
  source   = "./config"
  for_each = local.plans
%(arguments)s}

output "rendered" {
  value = base64encode(jsonencode({ for name, plan in module.plan : name => plan.rendered }))
}

output "characters" {
  value = { for name, plan in module.plan : name => plan.rendered.character }
}

# Terraform drops what it does not know; an example with a misspelt setting would mislead.
output "unknown" {
  value = flatten([for name, plan in local.plans : concat(
    [for key in keys(plan) : "${name}: ${key}" if !contains(keys(module.plan[name].inputs), key)],
    [for key, value in plan : [for member in try(keys(value), []) : "${name}: ${key}.${member}" if !try(contains(keys(module.plan[name].inputs[key]), member), true)]],
    [for topic, value in try(plan.topics, {}) : [for member in keys(value) : "${name}: topics.${member}" if !contains(keys(module.plan[name].inputs.topics[topic]), member)]],
    [for consumer, value in try(plan.consumers, {}) : [for member in keys(value) : "${name}: consumers.${member}" if !contains(keys(module.plan[name].inputs.consumers[consumer]), member)]],
  )])
}
"""

ASSERTS = """
  assert {
    condition     = length(output.unknown) == 0
    error_message = "These settings do not exist: ${join(", ", output.unknown)}."
  }
"""


# The cheap example is cheap, the strict one strict, whatever else changes in them. Neither asks for Grafana: where nobody
# can sign in, AWS refuses it.
ASSERTS_OF_EXAMPLES = """
  assert {
    condition = output.characters.example_dev == {
      instance_type = "kafka.t3.small", nat_gateways = 1, pollers = 0, prometheus = 0, grafana = 0, authorization = "AWS_IAM", log_retention_days = 7, boundary = false, paged = false
    }
    error_message = "examples/dev.tfvars must be the cheap set: ${jsonencode(output.characters.example_dev)}."
  }
  assert {
    condition = output.characters.example_production == {
      instance_type = "kafka.m7g.xlarge", nat_gateways = 1, pollers = 2, prometheus = 1, grafana = 0, authorization = "AWS_IAM", log_retention_days = 400, boundary = true, paged = true
    }
    error_message = "examples/production.tfvars must be the strict set: ${jsonencode(output.characters.example_production)}."
  }
"""


def variables(infra):
    """The names of all variables."""
    return [name for file in sorted(infra.glob("variables*.tf")) for name in re.findall(r'^variable "([^"]+)"', file.read_text(encoding="utf-8"), re.M)]


def combinations():
    """Name and variables of each combination of the toggles."""
    for values in itertools.product(*TOGGLES.values()):
        chosen = dict(zip(TOGGLES, values))
        name = "__".join(value.strip('"').lower() if value[0] == '"' else f"{toggle}_{value}" for toggle, value in chosen.items())
        settings = {**chosen, **AUTHORIZATION[chosen["authorization"]], **(IMAGES if chosen["use_vpc_endpoints"] == "true" else {})}
        del settings["authorization"]
        yield name, settings


def every_line(example):
    """The example with each `#name = value` line switched on; where a setting then stands twice, the last one counts."""
    lines = [re.sub(r"^#(?=[a-z_]+ *=)", "", line) for line in example.splitlines()]
    names = [match.group(1) if (match := re.match(r"([a-z_]+) *=", line)) else None for line in lines]
    return "\n".join(line for number, line in enumerate(lines) if names[number] is None or names[number] not in names[number + 1 :]) + "\n"


def examples(infra, folder):
    """Writes the examples as files that Terraform can decode; yields name and path."""
    template = (infra / "terraform.tfvars.example").read_text(encoding="utf-8")
    texts = {"tfvars": template, "tfvars_every_line": every_line(template)}
    texts |= {file.stem: file.read_text(encoding="utf-8") for file in sorted((infra / "examples").glob("*.tfvars"))}
    (folder / "examples").mkdir()
    for name, text in texts.items():
        (folder / "examples" / f"{name}.tfvars").write_text(text, encoding="utf-8")
        yield f"example_{name}", f"./examples/{name}.tfvars"


def write_root(infra, folder, names):
    """The copy of the configuration and the root that calls it."""
    config = folder / "config"
    shutil.copytree(infra, config, ignore=shutil.ignore_patterns(".terraform*", "grafana", "examples"))
    versions, count = re.subn(r'^provider "aws" \{.*?^\}\n', "", (config / "versions.tf").read_text(encoding="utf-8"), flags=re.M | re.S)
    if count != 1:
        raise SystemExit("versions.tf must hold the one provider block")
    (config / "versions.tf").write_text(versions, encoding="utf-8")
    inputs = "".join(f"    {name} = var.{name}\n" for name in names)
    render = (infra / "tests/tools/render.tf").read_text(encoding="utf-8")
    (config / "render.tf").write_text(f'{render}\noutput "inputs" {{\n  value = {{\n{inputs}  }}\n}}\n', encoding="utf-8")
    # The zips of the fixtures: a plan reads their hashes.
    defaults = {name: '"./config/tests/fixtures/lambda"' if name == "function_zip_directory" else "null" for name in names}
    arguments = "".join(f"  {name} = try(each.value.{name}, {default})\n" for name, default in defaults.items())
    (folder / "main.tf").write_text(ROOT % {"arguments": arguments}, encoding="utf-8")
    shutil.copytree(infra / "tests/mocks", folder / "tests/mocks")


def run_block(name, plans, paths, asserts=ASSERTS):
    """Some plans as one test run."""
    settings = "".join(f"      {plan} = {{ {', '.join(f'{key} = {value}' for key, value in chosen.items())} }}\n" for plan, chosen in plans.items())
    files = "".join(f'      {plan} = "{path}"\n' for plan, path in paths.items())
    zones = "".join(
        f"""
  override_data {{
    target = module.plan["{plan}"].data.aws_subnet.existing["subnet-{letter}"]
    values = {{ availability_zone = "us-east-1{letter}" }}
  }}
"""
        for plan, chosen in plans.items()
        if "existing_network" in chosen
        for letter in "abc"
    )
    return f'\nrun "{name}" {{\n  command = plan\n\n  variables {{\n    plans = {{\n{settings}    }}\n    examples = {{\n{files}    }}\n  }}\n{zones}{asserts}}}\n'


def write(infra, folder):
    """Writes everything; returns what was written in words."""
    names = variables(infra)
    folder.mkdir(parents=True)
    write_root(infra, folder, names)
    plans = {**CHOICES, **dict(combinations())}
    paths = dict(examples(infra, folder))
    never = set(names) - {key for chosen in plans.values() for key in chosen} - {"function_zip_directory"} - REFUSED
    if never:
        raise SystemExit(f"no plan sets {', '.join(sorted(never))}: add a choice to matrix.py")
    groups = [dict(list(plans.items())[start : start + PLANS_A_RUN]) for start in range(0, len(plans), PLANS_A_RUN)]
    runs = [run_block("examples", {}, paths, ASSERTS + ASSERTS_OF_EXAMPLES), *(run_block(f"plans_{number}", group, {}) for number, group in enumerate(groups, 1))]
    for part in range(PARTS):
        (folder / "tests" / f"part-{part + 1}.tftest.hcl").write_text(MOCK + "".join(runs[part::PARTS]), encoding="utf-8")
    return f"{len(plans) + len(paths)} plans in {len(runs)} runs: {len(plans) - len(CHOICES)} combinations, {len(CHOICES)} choices, {len(paths)} examples"


def main():
    print(write(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))


if __name__ == "__main__":
    main()
