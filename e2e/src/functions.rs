//! The product's functions with the environment that the infrastructure gives them, connected to a cluster of the test bed.

use std::path::Path;

use crate::error::Result;
use crate::kafka::cluster::{SCRAM_PASSWORD, SCRAM_USER};
use crate::kafka::{Cluster, Listener};
use crate::lambda::{Environment, FunctionOptions};

/// The producer for `topics`, through `listener`.
pub fn producer(cluster: &Cluster, listener: Listener, topics: &str) -> FunctionOptions {
    let mut variables = kafka_variables(cluster, listener);
    variables.push(("TOPICS".to_owned(), topics.to_owned()));
    FunctionOptions::new(FunctionOptions::workspace_binary("producer"), variables)
}

/// The consumer, with a dead-letter topic if one is given.
pub fn consumer(cluster: &Cluster, listener: Listener, dead_letter: Option<&str>) -> FunctionOptions {
    let mut variables = kafka_variables(cluster, listener);
    variables.push(("REPORT_BATCH_ITEM_FAILURES".to_owned(), "true".to_owned()));
    variables.extend(dead_letter.map(|topic| ("DEAD_LETTER".to_owned(), format!("kafka:{topic}"))));
    FunctionOptions::new(FunctionOptions::workspace_binary("consumer"), variables)
}

/// The consumer with an idempotency store in the file `store`, which fails while a file of that name with the extension `down` exists.
pub fn consumer_with_store(cluster: &Cluster, listener: Listener, store: &Path) -> FunctionOptions {
    let mut options = consumer(cluster, listener, None);
    options.binary = FunctionOptions::workspace_binary("examples/file_store");
    options.variables.push(("STORE_FILE".to_owned(), store.display().to_string()));
    options
}

/// How many records a call of a handler of batches has at most.
pub const RECORDS_OF_A_CALL: usize = 50;

/// The consumer as a handler of batches, with the same effects.
#[must_use]
pub fn in_batches(mut consumer: FunctionOptions) -> FunctionOptions {
    consumer.binary = FunctionOptions::workspace_binary("examples/in_batches");
    consumer.variables.push(("MAX_RECORDS".to_owned(), RECORDS_OF_A_CALL.to_string()));
    consumer
}

/// A producer that breaks a promise: `switch` is a name in `shared/src/kafka/sabotage.rs`.
#[must_use]
pub fn sabotaged(mut producer: FunctionOptions, switch: &str) -> FunctionOptions {
    producer.binary = FunctionOptions::workspace_binary("examples/sabotaged_producer");
    producer.variables.push(("SABOTAGE".to_owned(), switch.to_owned()));
    producer
}

/// Starts `count` environments one after the other: starting several at once on two cores would distort the measurements.
///
/// # Errors
/// The first environment's failure to start.
pub async fn start(options: &FunctionOptions, count: usize) -> Result<Vec<Environment>> {
    let mut environments = Vec::with_capacity(count);
    for _ in 0..count {
        environments.push(Environment::start(options).await?);
    }
    Ok(environments)
}

/// The variables with which a function reaches `listener`; with [`Listener::Iam`], as the role of the cluster's first key.
pub fn kafka_variables(cluster: &Cluster, listener: Listener) -> Vec<(String, String)> {
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut variables = vec![set("KAFKA_BOOTSTRAP_SERVERS", &cluster.bootstrap(listener))];
    if listener != Listener::Plaintext {
        variables.push(set("KAFKA_CA_FILE", &cluster.ca_file().display().to_string()));
    }
    match listener {
        Listener::Iam => {
            variables.push(set("KAFKA_AUTH", "iam"));
            variables.extend(cluster.key().environment());
        }
        Listener::Scram => {
            variables.push(set("KAFKA_AUTH", "scram"));
            variables.push(set("KAFKA_SASL_USERNAME", SCRAM_USER));
            variables.push(set("KAFKA_SASL_PASSWORD", SCRAM_PASSWORD));
        }
        Listener::MutualTls => {
            variables.push(set("KAFKA_AUTH", "tls"));
            variables.push(set("KAFKA_CLIENT_CERT_FILE", &cluster.folder().join("client.pem").display().to_string()));
            variables.push(set("KAFKA_CLIENT_KEY_FILE", &cluster.folder().join("client.key").display().to_string()));
        }
        Listener::Plaintext => variables.push(set("KAFKA_AUTH", "none")),
    }
    variables
}
