//! A dead-letter topic that would not take every record of its source.

use anyhow::ensure;
use msk_e2e::kafka::{Listener, iam};
use msk_e2e::lambda::Environment;
use msk_e2e::lambda::msk_event::msk_event;
use msk_e2e::wait::wait_until;
use msk_e2e::{functions, log_reader};
use serde_json::Value;

use crate::consuming::{deliver, message, write_messages};
use crate::shared_clusters::{LIMIT, SharedClusters, topic};

/// The consumer compares what its topics take, once it may ask, and says what does not fit before a record is lost to it.
pub(crate) async fn small_dead_letters(clusters: &SharedClusters) -> anyhow::Result<String> {
    let cluster = clusters.cluster().await?;
    let (topic, dead) = (topic(&cluster, "c5").await?, topic(&cluster, "c5-dead").await?);
    write_messages(&cluster, &topic, vec![message(0)]).await?;
    let event = msk_event(&topic, &log_reader::read_topic(&cluster, &topic).await?);
    let mut figures = Vec::new();
    for may_ask in [false, true] {
        let mut policy = vec![
            iam::Statement::allow(&["Connect", "WriteDataIdempotently"], &[iam::cluster_arn()]),
            iam::Statement::allow(&["DescribeTopic", "WriteData"], &[iam::topic_arn("*")]),
        ];
        if may_ask {
            policy.push(iam::Statement::allow(&["DescribeTopicDynamicConfiguration"], &[iam::topic_arn("*")]));
        }
        cluster.iam().set_policy(iam::PRODUCER_ROLE, policy)?;
        let mut options = functions::consumer(&cluster, Listener::Iam, Some(&dead));
        options.variables.push(("LOG_LEVEL".to_owned(), "debug".to_owned()));
        let consumer = Environment::start(&options).await?;
        ensure!(deliver(&consumer, &event).await?.is_empty(), "the batch was not handled");
        let line =
            wait_for_line(&consumer, "of the topic and its dead-letter topic are not known", "does not fit").await?;
        let limits = ["max_message_bytes", "dead_letter_max_message_bytes", "needs"].map(|name| line[name].as_u64());
        // Kafka's default for both, and room for the headers.
        let expected = if may_ask { [Some(1_048_588), Some(1_048_588), Some(1_064_972)] } else { [None; 3] };
        ensure!(limits == expected && (line["level"] == "WARN") == may_ask, "may ask: {may_ask}: {line}");
        figures.push(format!("with the right: {may_ask}, told: {}", line["level"]));
    }
    Ok(figures.join("; "))
}

/// The first log line with either of these texts.
async fn wait_for_line(environment: &Environment, one: &str, other: &str) -> anyhow::Result<Value> {
    let look = || async {
        let log = environment.log();
        let line = log.lines().find(|line| line.contains(one) || line.contains(other));
        line.and_then(|line| serde_json::from_str(line).ok()).ok_or(log)
    };
    Ok(wait_until("a line about the topics' limits", LIMIT, look).await?)
}
