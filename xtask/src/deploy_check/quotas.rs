//! How much of the account's quotas the deployment uses, and the commands that show them. Quotas differ from account to
//! account, so a line is a `look`, unless AWS itself reported that there is enough.

use serde_json::Value;

use super::account::ask_aws;
use super::machine::{Machine, ProgramAnswer};
use super::report::Line;
use super::settings::{Settings, whole_number};

/// Availability zones. Each has a private subnet, and a NAT gateway if on-demand pollers need one.
const ZONES: u64 = 3;
/// Concurrent executions that Lambda keeps for functions without reserved concurrency.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html>
const UNRESERVED: u64 = 100;
/// The member of the answer to `aws lambda get-account-settings`.
const FREE_EXECUTIONS: &str = "AccountLimit.UnreservedConcurrentExecutions";
/// Partitions of a topic by default, as in `infra/variables-cluster.tf`.
pub(super) const PARTITIONS: u64 = 6;

/// The most executions that the producer and all consumers reserve. They are derived from MSK's connection limits; `infra/locals.tf` has
/// the formula.
pub(super) const CONCURRENCY: (u64, u64) = (150, 50);
/// The same on `kafka.t3.small`.
pub(super) const CONCURRENCY_BURSTABLE: (u64, u64) = (6, 2);

/// Executions that no function of the account has reserved. The reservations of an earlier deployment are not included,
/// so too few does not prove that something is missing.
pub(super) fn free_executions(machine: &Machine, region: &str) -> Option<u64> {
    let question = ["lambda", "get-account-settings", "--region", region];
    match ask_aws(machine, &[&question, ["--query", FREE_EXECUTIONS].as_slice()].concat()) {
        ProgramAnswer::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

pub(super) fn lines(settings: &Settings, free: Option<u64>) -> Vec<Line> {
    let own_network = settings.value("existing_network").is_none();
    let mut lines = vec![concurrency(settings, free)];
    if settings.value("existing_cluster").is_none() {
        let brokers = settings.number("broker_count");
        let line = Line::look("MSK brokers", format!("{brokers} more; a new account may have 90"));
        lines.push(
            line.with("aws kafka list-clusters-v2 --query 'sum(ClusterInfoList[].Provisioned.NumberOfBrokerNodes)'"),
        );
    }
    if own_network {
        let line = Line::look("VPCs", "1 more; by default a region may have 5");
        lines.push(line.with("aws ec2 describe-vpcs --query 'length(Vpcs)'"));
    }
    if own_network && !settings.flag("use_vpc_endpoints") {
        let gateways = gateways(settings);
        let line =
            Line::look("addresses", format!("Elastic IPs: {gateways} more for NAT; by default a region may have 5"));
        lines.push(line.with("aws ec2 describe-addresses --query 'length(Addresses)'"));
    }
    lines
}

/// NAT gateways, as derived in `infra/bastion.tf`: on-demand pollers need one in every zone, the bastion needs one.
fn gateways(settings: &Settings) -> u64 {
    match settings.value("single_nat_gateway").and_then(Value::as_bool) {
        Some(true) => 1,
        Some(false) => ZONES,
        None if settings.text("esm_mode") == "on_demand" && consumed_partitions(settings) > 0 => ZONES,
        None => u64::from(settings.flag("enable_bastion") && !settings.flag("bastion_public")),
    }
}

fn concurrency(settings: &Settings, free: Option<u64>) -> Line {
    let (producer, consumer) = reserved(settings);
    let subject = "concurrency";
    if producer + consumer == 0 {
        return Line::ok(subject, "the functions reserve no executions");
    }
    let needed = producer + consumer + UNRESERVED;
    let says = format!("Lambda: {producer} + {consumer} reserved + {UNRESERVED} that must stay free = {needed}");
    let line = match free {
        Some(free) if free >= needed => return Line::ok(subject, format!("{says}; the account has {free}")),
        Some(free) => Line::look(subject, format!("{says}; the account has {free} besides those already reserved")),
        None => Line::look(subject, format!("{says}; a new account may have 10"))
            .with(format!("aws lambda get-account-settings --query {FREE_EXECUTIONS}")),
    };
    line.with("if it has fewer: set reserved_concurrency = -1 in producer and consumers until AWS has raised the quota")
}

/// Reserved executions of the producer and of all consumers together, as `infra/app.tf` and `infra/consumers.tf` compute them.
pub(super) fn reserved(settings: &Settings) -> (u64, u64) {
    let burstable = settings.text("broker_instance_type").starts_with("kafka.t3.");
    let (producer, most) = if burstable { CONCURRENCY_BURSTABLE } else { CONCURRENCY };
    let producer = settings.member("producer", "reserved_concurrency").map_or(producer, chosen);
    let consumers: Vec<_> = settings
        .consumers()
        .map(|(_, it)| (it, it.get("reserved_concurrency").filter(|value| !value.is_null()).map(chosen)))
        .collect();
    let taken: u64 = consumers.iter().filter_map(|(_, chosen)| *chosen).sum();
    let open = consumers.iter().filter(|(_, chosen)| chosen.is_none()).count() as u64;
    let each = most.saturating_sub(taken) / open.max(1);
    let derived = |consumer| partitions_read(settings, consumer).min(each).max(1);
    let reserved = consumers.iter().map(|(consumer, chosen)| chosen.unwrap_or_else(|| derived(consumer)));
    (producer, reserved.sum())
}

/// A `reserved_concurrency` that is set; -1 reserves none.
fn chosen(value: &Value) -> u64 {
    whole_number(value).unwrap_or(0)
}

/// Partitions of the topics that some consumer reads.
fn consumed_partitions(settings: &Settings) -> u64 {
    consumed_topics(settings).map(|(_, topic)| partitions(topic)).sum()
}

/// Partitions of the topics that a consumer reads: those it names, or every consumed one.
fn partitions_read(settings: &Settings, consumer: &Value) -> u64 {
    let named = consumer.get("topics").and_then(Value::as_array);
    let reads = |name: &str| named.is_none_or(|named| named.iter().any(|it| it.as_str() == Some(name)));
    consumed_topics(settings).filter(|(name, _)| reads(name)).map(|(_, topic)| partitions(topic)).sum()
}

fn partitions(topic: &Value) -> u64 {
    topic.get("partitions").and_then(whole_number).unwrap_or(PARTITIONS)
}

fn consumed_topics(settings: &Settings) -> impl Iterator<Item = (&String, &Value)> {
    let topics = settings.value("topics").and_then(Value::as_object).into_iter().flatten();
    topics.filter(|(_, topic)| topic.get("consumed") != Some(&Value::Bool(false)))
}
