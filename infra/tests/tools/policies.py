#!/usr/bin/env python3
"""Evaluates the rendered IAM policies of every plan, and prints who may do what.

Usage: policies.py FOLDER-OF-TEST-OUTPUTS TABLE-FILE [--write]

The rules below must hold in every plan; the table of the plan `topics_with_policies` is kept in TABLE-FILE, so that a
change of anybody's rights shows in a review. Evaluation follows IAM: an explicit Deny wins, then any Allow, else no.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import fnmatch
import re
import sys

from rendered import read

READ, WRITE = "kafka-cluster:ReadData", "kafka-cluster:WriteData"
# Every action of MSK's data plane: https://docs.aws.amazon.com/msk/latest/developerguide/kafka-actions.html
CLUSTER_ACTIONS = ["Connect", "DescribeCluster", "AlterCluster", "DescribeClusterDynamicConfiguration", "AlterClusterDynamicConfiguration", "WriteDataIdempotently"]
TOPIC_ACTIONS = ["CreateTopic", "DescribeTopic", "AlterTopic", "DeleteTopic", "DescribeTopicDynamicConfiguration", "AlterTopicDynamicConfiguration", "ReadData", "WriteData"]
GROUP_ACTIONS = ["AlterGroup", "DescribeGroup", "DeleteGroup"]
TRANSACTION_ACTIONS = ["DescribeTransactionalId", "AlterTransactionalId"]


def as_list(value):
    """IAM lets a single value stand for a list of one."""
    return value if isinstance(value, list) else [value]


def matches(pattern, value):
    """IAM's wildcards: * and ?, and nothing else (fnmatch's brackets are escaped)."""
    return fnmatch.fnmatchcase(value, re.sub(r"\[", "[[]", pattern))


def condition_holds(condition, context):
    """True when every condition of a statement holds; an operator that is not known here is an error."""
    for operator, tests in condition.items():
        if operator not in ("StringEquals", "StringLike", "ArnEquals", "ArnLike"):
            raise SystemExit(f"policies.py does not know the condition operator {operator}")
        for key, wanted in tests.items():
            if key not in context or not any(matches(pattern, context[key]) for pattern in as_list(wanted)):
                return False
    return True


def allowed(policies, action, resource, context=None):
    """IAM's answer for one request under identity policies."""
    answer = False
    for policy in policies:
        for statement in as_list(policy["Statement"]):
            if "NotAction" in statement or "NotResource" in statement:
                raise SystemExit(f"statement {statement.get('Sid')}: NotAction and NotResource allow what nobody listed")
            applies = (
                any(matches(pattern.lower(), action.lower()) for pattern in as_list(statement["Action"]))
                and any(matches(pattern, resource) for pattern in as_list(statement["Resource"]))
                and condition_holds(statement.get("Condition", {}), context or {})
            )
            if applies and statement["Effect"] == "Deny":
                return False
            answer = answer or applies
    return answer


class Plan:
    """One rendered plan, with names for its resources."""

    def __init__(self, name, rendered):
        self.name = name
        self.rendered = rendered
        self.policies = rendered["policies"]
        self.cluster = rendered["cluster_arn"]
        # The same names on a cluster that is not ours.
        self.other_cluster = self.cluster.replace(":cluster/", ":cluster/other-")

    def topic(self, name, cluster=None):
        return f"{(cluster or self.cluster).replace(':cluster/', ':topic/')}/{name}"

    def group(self, name, cluster=None):
        return f"{(cluster or self.cluster).replace(':cluster/', ':group/')}/{name}"

    def transaction(self, name):
        return f"{self.cluster.replace(':cluster/', ':transactional-id/')}/{name}"

    def consumers(self):
        """Name -> what the consumer reads, its groups and its dead letters."""
        return self.rendered["consumers"]

    def functions(self):
        return ["producer", *self.consumers()]

    def known_topics(self):
        of_consumers = [topic for it in self.consumers().values() for topic in [*it["topics"], *it["dead_letters"], *it["publishes"]]]
        return sorted({*self.rendered["produced_topics"], *of_consumers, "somebody-elses"})

    def known_groups(self):
        return sorted({group for it in self.consumers().values() for group in it["groups"]})

    def code_context(self, function):
        """The keys that a request from inside a function carries."""
        # https://docs.aws.amazon.com/lambda/latest/dg/permissions-source-function-arn.html
        name = self.rendered["producer_environment"]["METRICS_NAMESPACE"]
        parts = self.cluster.split(":")
        return {"lambda:SourceFunctionArn": f"arn:{parts[1]}:lambda:{self.rendered['region']}:{parts[4]}:function:{name}-{function}"}


def may(plan, role, action, resource, context=None):
    return allowed(plan.policies[role], action, resource, context)


def rules(plan):
    """Yields each broken rule as a sentence."""
    produced = set(plan.rendered["produced_topics"])
    for topic in plan.known_topics():
        arn = plan.topic(topic)
        if may(plan, "producer", READ, arn):
            yield f"the producer can read {topic}"
        if may(plan, "producer", WRITE, arn) != (topic in produced):
            yield f"the producer {'cannot' if topic in produced else 'can'} write {topic}"
        for role in plan.functions():
            for action in ("CreateTopic", "AlterTopic", "DeleteTopic", "AlterTopicDynamicConfiguration"):
                if may(plan, role, f"kafka-cluster:{action}", arn):
                    yield f"the {role} can {action} {topic}"
    for group in plan.known_groups():
        if may(plan, "producer", "kafka-cluster:AlterGroup", plan.group(group)):
            yield f"the producer can join the group {group}"
    if not may(plan, "producer", "kafka-cluster:WriteDataIdempotently", plan.cluster):
        yield "the producer cannot write idempotently: librdkafka would be refused"
    for name in plan.consumers():
        yield from consumer_rules(plan, name)
    # docs/UPGRADE.md moves partitions with a throttle, docs/RUNBOOKS.md moves leaders.
    for action in ("AlterCluster", "AlterClusterDynamicConfiguration"):
        if plan.policies.get("bastion") and not may(plan, "bastion", f"kafka-cluster:{action}", plan.cluster):
            yield f"the bastion cannot {action}: partitions cannot be moved from there"
    yield from publisher_rules(plan)
    yield from parameter_rules(plan)
    yield from other_cluster_rules(plan)
    yield from everywhere_rules(plan)


def consumer_rules(plan, name):
    """A consumer reads its own topics with its own groups, writes its own dead letters and what it publishes, and nothing else."""
    it = plan.consumers()[name]
    written = {*it["dead_letters"], *it["publishes"]}
    for topic in plan.known_topics():
        arn = plan.topic(topic)
        if may(plan, name, READ, arn) != (topic in it["topics"]):
            yield f"the {name} {'cannot' if topic in it['topics'] else 'can'} read {topic}"
        if may(plan, name, WRITE, arn) != (topic in written):
            yield f"the {name} {'cannot' if topic in written else 'can'} write {topic}"
    for group in [*plan.known_groups(), "somebody-elses"]:
        for action in ("DescribeGroup", "AlterGroup"):
            if may(plan, name, f"kafka-cluster:{action}", plan.group(group)) != (group in it["groups"]):
                yield f"the {name} {'cannot' if group in it['groups'] else 'can'} {action} on the group {group}"
    if written and not may(plan, name, "kafka-cluster:WriteDataIdempotently", plan.cluster):
        yield f"the {name} cannot write idempotently: librdkafka would be refused"
    yield from failure_rules(plan, name)


# What delivers a failed batch to each service, and on what: https://docs.aws.amazon.com/lambda/latest/dg/kafka-on-failure.html
DELIVERIES = {"sqs": [("sqs:SendMessage", "")], "sns": [("sns:Publish", "")], "s3": [("s3:ListBucket", ""), ("s3:PutObject", "/a-document")]}


def failure_rules(plan, consumer):
    """The mapping delivers failed batches to the destination that is set, with its key, and to none other."""
    destination, key = plan.consumers()[consumer]["failures"], plan.consumers()[consumer]["failures_key"]
    service = destination.split(":")[2] if destination.startswith("arn:") else None
    for name, requests in DELIVERIES.items():
        other = "arn:aws:s3:::somebody-elses" if name == "s3" else f"arn:aws:{name}:us-east-1:123456789012:somebody-elses"
        for action, suffix in requests:
            if name == service and not may(plan, consumer, action, destination + suffix):
                yield f"{consumer}: failed batches cannot be delivered: no {action} on {destination}"
            if may(plan, consumer, action, other + suffix):
                yield f"the {consumer} can {action} elsewhere"
    for action in ["kms:GenerateDataKey"] + (["kms:Decrypt"] if service in ("sqs", "sns") else []):
        if key and not may(plan, consumer, action, key, {"kms:ViaService": f"{service}.{plan.rendered['region']}.amazonaws.com"}):
            yield f"{consumer}: failed batches cannot be encrypted: no {action}"
        if may(plan, consumer, action, key or plan.rendered["key_arn"]):
            yield f"the {consumer}'s code can {action} by itself"


def publisher_rules(plan):
    """A publisher writes its own topics over the API, by each route that names one, and nothing else."""
    stage = f"{plan.rendered['execution_arn']}/$default"
    for name, own in plan.rendered["publishers"].items():
        for route in plan.rendered["routes"]:
            method, path = route.split(" ")
            for topic in plan.known_topics():
                resource = f"{stage}/{method}{path.replace('{topic}', topic).replace('{cluster}', 'any').replace('{partition}', '0')}"
                wanted = topic in own and "{topic}" in path
                if may(plan, f"publisher-{name}", "execute-api:Invoke", resource) != wanted:
                    yield f"the publisher {name} {'cannot' if wanted else 'can'} {method} {path} of {topic}"


def parameter_rules(plan):
    """Whoever opens a session on the bastion holds its role: it must not read the account's parameters."""
    if not plan.policies.get("bastion"):
        return
    prefix = f"arn:aws:ssm:{plan.rendered['region']}:123456789012:parameter"
    for action in ("ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath", "ssm:PutParameter"):
        if may(plan, "bastion", action, f"{prefix}/somebody-elses"):
            yield f"the bastion can {action} on every parameter of the account"
    for action in ("ssm:UpdateInstanceInformation", "ssmmessages:CreateControlChannel", "ssmmessages:OpenDataChannel"):
        if not may(plan, "bastion", action, "*"):
            yield f"no session can be opened on the bastion: no {action}"
    name = plan.rendered["producer_environment"]["METRICS_NAMESPACE"]
    logs = f"arn:aws:logs:{plan.rendered['region']}:123456789012:log-group"
    for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
        if may(plan, "bastion", action, f"{logs}:/aws/lambda/{name}-producer:log-stream:x"):
            yield f"the bastion can {action} in the functions' logs"
    own = f"{prefix}/kafka-ui/{name}/password"
    if not may(plan, "bastion", "ssm:PutParameter", own) or not may(plan, "bastion", "kms:Encrypt", plan.rendered["key_arn"], {"kms:EncryptionContext:PARAMETER_ARN": own}):
        yield "the bastion cannot keep Kafka-UI's password"
    if may(plan, "bastion", "kms:Encrypt", plan.rendered["key_arn"]) or may(plan, "bastion", "kms:Decrypt", plan.rendered["key_arn"]):
        yield "the bastion can use the key for more than Kafka-UI's password"


def other_cluster_rules(plan):
    """Nobody touches a cluster that is not ours, and functions use no transactions."""
    other = plan.other_cluster
    for role in plan.policies:
        requests = [(action, other) for action in CLUSTER_ACTIONS]
        requests += [(action, plan.topic("orders", other)) for action in TOPIC_ACTIONS]
        requests += [(action, plan.group("orders", other)) for action in GROUP_ACTIONS]
        for action, resource in requests:
            if may(plan, role, f"kafka-cluster:{action}", resource):
                yield f"{role} can {action} on another cluster"
    for role in plan.functions():
        for action in TRANSACTION_ACTIONS:
            if may(plan, role, f"kafka-cluster:{action}", plan.transaction("x")):
                yield f"the {role} can {action}"


def everywhere_rules(plan):
    """Stars, and what Lambda may do that a function's code may not."""
    for role, policies in plan.policies.items():
        for policy in policies:
            for statement in as_list(policy["Statement"]):
                if statement["Effect"] == "Allow" and any("*" in action for action in as_list(statement["Action"])):
                    yield f"{role}, {statement['Sid']}: an action with a star"
    for role in plan.functions():
        if not may(plan, role, "ec2:CreateNetworkInterface", "*"):
            yield f"Lambda cannot make network interfaces for the {role}"
        if may(plan, role, "ec2:CreateNetworkInterface", "*", plan.code_context(role)):
            yield f"the {role}'s code can make network interfaces"
        for action in ("lambda:InvokeFunction", "iam:PassRole", "kms:Decrypt", "s3:GetObject", "secretsmanager:GetSecretValue", "sts:AssumeRole"):
            if may(plan, role, action, "*"):
                yield f"the {role} can {action}"


def table(plan):
    """Who may do what, as a Markdown table: one row a thing, one column a role."""
    roles = [*plan.functions(), "bastion"]
    rows = [("the cluster", plan.cluster, CLUSTER_ACTIONS)]
    rows += [(f"topic `{topic}`", plan.topic(topic), TOPIC_ACTIONS) for topic in plan.known_topics()]
    rows += [(f"group `{group}`", plan.group(group), GROUP_ACTIONS) for group in [*plan.known_groups(), "somebody-elses"]]
    rows += [("transactions", plan.transaction("x"), TRANSACTION_ACTIONS)]
    rows += [("topic `orders` of another cluster", plan.topic("orders", plan.other_cluster), TOPIC_ACTIONS)]
    yield "| On | " + " | ".join(roles) + " |"
    yield "|---" * (len(roles) + 1) + "|"
    for label, resource, actions in rows:
        cells = [", ".join(a for a in actions if may(plan, role, f"kafka-cluster:{a}", resource, plan.code_context(role))) or "-" for role in roles]
        yield f"| {label} | " + " | ".join(cells) + " |"


def main():
    source, target = sys.argv[1:3]
    plans = [Plan(name, rendered) for name, rendered in read(source).items()]
    broken = [f"{plan.name}: {problem}" for plan in plans for problem in rules(plan)]
    if broken:
        raise SystemExit("\n".join(broken[:40]))
    shown = next(plan for plan in plans if plan.name == "topics_with_policies")
    text = "\n".join(["# Who may do what on the cluster", "", f"Written by infra/tests/tools/policies.py from the rendered policies of the plan `{shown.name}`.", "", *table(shown), ""])
    print(text)
    if "--write" in sys.argv:
        with open(target, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        with open(target, encoding="utf-8") as file:
            if file.read() != text:
                raise SystemExit(f"{target} differs: somebody's rights changed. If that is meant, write it anew: run this script again with --write")
    print(f"{len(plans)} plans, every rule holds in each")


if __name__ == "__main__":
    main()
