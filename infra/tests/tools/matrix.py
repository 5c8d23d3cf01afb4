#!/usr/bin/env python3
"""Writes matrix.tftest.hcl: one plan for every combination of the toggles, and one for each further choice.

Usage: matrix.py FILE

`terraform test -verbose -filter=FILE` then plans them all; rendered.py reads back what render.tf put out.
"""

import itertools
import sys

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

# Choices that change one thing each.
CHOICES = {
    "defaults": {},
    "single_nat_gateway": {"single_nat_gateway": "true"},
    "no_bastion": {"enable_bastion": "false"},
    "public_bastion": {"bastion_public": "true", "allowed_cidrs": '["203.0.113.7/32"]'},
    "six_brokers": {"broker_count": "6"},
    "small_brokers": {"broker_instance_type": '"kafka.t3.small"'},
    "fixed_storage": {"storage": "{ autoscaling = false }"},
    "scram": {"client_authentication": "{ scram = true }"},
    "x86_64": {"function_architecture": '"x86_64"'},
    "kafka_options": {"kafka_options": '{ "metadata.max.age.ms" = "60000" }'},
    "topics_with_policies": {
        "topics": '{ orders = { policy = { key = "required", max_record_bytes = 65536, formats = ["json", "cloudevents"] } }, '
        "payments = { partitions = 3 }, audit = { consumed = false }, inbound = { produced = false } }",
        "default_topic": '"payments"',
    },
    "nothing_consumed": {"topics": "{ audit = { consumed = false } }"},
    "no_dead_letter": {"consumer": '{ dead_letter_topic = "" }'},
    "no_dead_letter_provisioned": {"consumer": '{ dead_letter_topic = "" }', "esm_mode": '"provisioned"'},
    "one_dead_letter_topic": {"consumer": '{ dead_letter_topic = "all.dlq" }'},
    "failures_to_a_queue": {
        "consumer": '{ failure_destination = "arn:aws:sqs:us-east-1:123456789012:failures" }',
        "esm_mode": '"provisioned"',
    },
    "ordering_key": {"consumer": '{ ordering = "key", concurrency = 64 }'},
    "ordering_none": {"consumer": '{ ordering = "none" }'},
    "status_mode_confluent": {"producer": '{ status_mode = "confluent" }'},
    "small_limits": {"producer": "{ delivery_timeout_ms = 3000, max_request_bytes = 1048576, max_records = 10, max_record_bytes = 65536 }"},
    "canary": {"producer": '{ canary = { version = "1", weight = 0.9 } }'},
    "provisioned_concurrency": {"producer": "{ provisioned_concurrency = 2 }"},
    "debug_logs": {"log_level": '"debug"'},
    "another_name": {"name": '"orders-prod"'},
    "kafka_4_1": {"kafka_version": '"4.1.x.kraft"'},
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

HEAD = """# Written by tests/tools/matrix.py.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  function_zip_directory = "./tests/fixtures/lambda"
}
"""

SUBNETS = "".join(
    f"""
  override_data {{
    target = data.aws_subnet.existing["subnet-{letter}"]
    values = {{ availability_zone = "us-east-1{letter}" }}
  }}"""
    for letter in "abc"
)


def combinations():
    """Name and variables of each combination of the toggles."""
    for values in itertools.product(*TOGGLES.values()):
        chosen = dict(zip(TOGGLES, values))
        name = "__".join(value.strip('"').lower() if value[0] == '"' else f"{toggle}_{value}" for toggle, value in chosen.items())
        variables = {**chosen, **AUTHORIZATION[chosen["authorization"]]}
        del variables["authorization"]
        yield name, variables


def run_block(name, variables):
    """One plan as a test run."""
    lines = "".join(f"\n    {key} = {value}" for key, value in variables.items())
    subnets = SUBNETS if "existing_network" in variables else ""
    return f'\nrun "{name}" {{\n  command = plan\n\n  variables {{{lines}\n  }}\n{subnets}\n}}\n'


def main():
    runs = [*CHOICES.items(), *combinations()]
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(HEAD)
        for name, variables in runs:
            file.write(run_block(name, variables))
    print(f"{len(runs)} plans")


if __name__ == "__main__":
    main()
