//! A projection (CQRS): each record is the state of an entity, and the table has the newest state of each, to be queried. A handler
//! of batches, because of several states of one entity only the newest has to be written.
//!
//! - **Redelivery, crash, reordering**: an item is replaced by a newer version only, on a condition that DynamoDB checks as it
//!   writes. However often, and in whichever order, records come: the table ends the same.
//! - **Versions** are the records' offsets, or whole numbers in the header that `APP_VERSION_HEADER` names. An item says whose version
//!   it has: offsets of two partitions cannot be compared, and what would need it (a key whose partition changed, because the topic
//!   got more of them) becomes a dead letter instead of a guess.
//! - **Tombstones** leave an item with the version and no document, so that an older state that comes late does not bring it back.
//! - **Poison**: what is no state, and what DynamoDB can never take, such as an item above 400 KB.
//! - **Throttling** is waited for shortly, then what is left of the call is retried.
//!
//! A conditional `PutItem` per entity, because `BatchWriteItem` knows no conditions, and `TransactWriteItems` is refused as a whole for
//! one record that came twice, costs double, and takes 100 items.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use futures_util::StreamExt;
use msk_consumer::{BatchHandler, MaxRecords, OpenRecord, Outcome, RecordBatch};
use msk_shared::env::EnvReader;
use msk_shared::event::Record;
use serde_json::{Map, Value, json};

use crate::dynamodb::{CallError, DynamoDb, Exception, attribute};

/// Items that a call writes at the same time.
const AT_ONCE: usize = 16;
/// Pauses before a throttled write is tried again, together less than a second: a redelivery costs little more.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(50), Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(400)];
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
const LARGEST_ITEM: usize = 400 * 1024;
/// DynamoDB asks for a pause: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>
const THROTTLED: [&str; 3] = ["ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"];
/// The item will never be taken.
const REFUSED: [&str; 2] = ["ValidationException", "ItemCollectionSizeLimitExceededException"];
/// Replaces what is older, and what is not there.
const IF_NEWER: &str = "attribute_not_exists(#id) OR (#of = :of AND #version < :version)";

/// Whose versions an item has, and of which entity it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Entity {
    id: String,
    version_of: String,
}

/// A state of an entity; `None` says that it is deleted.
struct State<'b> {
    open: OpenRecord<'b>,
    version: u64,
    document: Option<Map<String, Value>>,
}

/// Writes a topic's states into one table, whose key is the string `id`.
#[derive(Debug)]
pub struct DynamoDbWriter {
    table: String,
    version_header: Option<String>,
    dynamodb: DynamoDb,
    /// Whether the table has been seen to have the key that it must have.
    fits: AtomicBool,
}

impl DynamoDbWriter {
    /// Reads `APP_TABLE`, `APP_VERSION_HEADER`, `APP_DYNAMODB_ENDPOINT`, `APP_CA_FILE` and what Lambda sets.
    pub fn from_env(env: &mut EnvReader) -> Option<Self> {
        let table = env.required("APP_TABLE", "set it to the name of the table, whose key is the string `id`");
        let version_header = env.optional("APP_VERSION_HEADER");
        let dynamodb = DynamoDb::from_env(env);
        Some(Self { table: table?, version_header, dynamodb: dynamodb?, fits: AtomicBool::new(false) })
    }

    fn entity(&self, record: &Record) -> Result<(Entity, u64), Outcome> {
        let key = record.key().map_err(|error| Outcome::Poison(error.into()))?;
        let id = key.and_then(|key| String::from_utf8(key.into_owned()).ok()).filter(|id| !id.is_empty());
        let id =
            id.ok_or_else(|| Outcome::Poison("the record has no key in UTF-8, which would be the item's id".into()))?;
        let (version, version_of) = match &self.version_header {
            None => (u64::try_from(record.offset()).ok(), record.id().partition_name()),
            Some(header) => (record.header_text(header).and_then(|text| text.parse().ok()), format!("header {header}")),
        };
        let version = version.ok_or_else(|| {
            Outcome::Poison("the record has no whole number in the header that APP_VERSION_HEADER names".into())
        })?;
        Ok((Entity { id, version_of }, version))
    }

    /// Writes the newest state that can be written; with it the older ones are done.
    async fn project(&self, entity: &Entity, mut states: Vec<State<'_>>, given_up: &AtomicBool) {
        states.sort_by_key(|state| Reverse(state.version));
        // What became of the newest state that is no poison: nothing, or why it has to come again.
        let mut newer: Option<Result<(), String>> = None;
        for State { open, version, document } in states {
            let outcome = match &newer {
                Some(Ok(())) => Outcome::Skip("a newer state of the entity is written".into()),
                Some(Err(error)) => Outcome::Retry(error.clone().into()),
                None => self.write(entity, version, document, given_up).await,
            };
            if newer.is_none() {
                newer = match &outcome {
                    Outcome::Poison(_) => None,
                    Outcome::Retry(error) => Some(Err(error.to_string())),
                    Outcome::Done | Outcome::Skip(_) => Some(Ok(())),
                };
            }
            open.settle(outcome);
        }
    }

    /// Writes one state, and waits shortly where DynamoDB asks for it.
    async fn write(
        &self,
        entity: &Entity,
        version: u64,
        document: Option<Map<String, Value>>,
        given_up: &AtomicBool,
    ) -> Outcome {
        if document.as_ref().is_some_and(|members| least_size_of_members(members) > LARGEST_ITEM) {
            return Outcome::Poison(format!("the state has more than the {LARGEST_ITEM} bytes of an item").into());
        }
        let input = self.put(entity, version, document);
        for pause in PAUSES.into_iter().map(Some).chain([None]) {
            if given_up.load(Relaxed) {
                break;
            }
            match (self.dynamodb.call("PutItem", &input).await, pause) {
                (Ok(()), _) => return Outcome::Done,
                (Err(CallError::NotAnswered(outcome)), _) => {
                    given_up.store(true, Relaxed);
                    return outcome;
                }
                (Err(CallError::Refused(exception)), _) if !THROTTLED.contains(&exception.name.as_str()) => {
                    return self.refused(entity, exception).await;
                }
                (Err(_), Some(pause)) => tokio::time::sleep(pause).await,
                // What the call has not started yet would fare no better.
                (Err(_), None) => given_up.store(true, Relaxed),
            }
        }
        Outcome::Retry("the table takes no writes at present".into())
    }

    fn put(&self, entity: &Entity, version: u64, document: Option<Map<String, Value>>) -> Value {
        let version = json!({"N": version.to_string()});
        let version_of = json!({"S": entity.version_of});
        let mut item = json!({"id": {"S": entity.id}, "version": version, "version_of": version_of});
        match document {
            Some(document) => item["document"] = attribute(Value::Object(document)),
            None => item["deleted"] = json!({"BOOL": true}),
        }
        json!({
            "TableName": self.table,
            "Item": item,
            "ConditionExpression": IF_NEWER,
            "ExpressionAttributeNames": {"#id": "id", "#of": "version_of", "#version": "version"},
            "ExpressionAttributeValues": {":of": version_of, ":version": version},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        })
    }

    async fn refused(&self, entity: &Entity, exception: Exception) -> Outcome {
        match exception.name.as_str() {
            "ConditionalCheckFailedException" => already_there(entity, exception.item),
            name if REFUSED.contains(&name) => match self.table_fits().await {
                Ok(()) => Outcome::Poison(format!("the table refused the state: {name}").into()),
                Err(outcome) => outcome,
            },
            // Rights, a table that is not there, a fault of DynamoDB: none is the record's.
            name => Outcome::Retry(format!("the table cannot be written: {name}").into()),
        }
    }

    /// That a write is refused is the record's fault only if the table has the right key: otherwise every record would be poison.
    async fn table_fits(&self) -> Result<(), Outcome> {
        if self.fits.load(Relaxed) {
            return Ok(());
        }
        let input = json!({"TableName": self.table, "Key": {"id": {"S": "x"}}, "ProjectionExpression": "version_of"});
        match self.dynamodb.call("GetItem", &input).await {
            Ok(()) => {
                self.fits.store(true, Relaxed);
                Ok(())
            }
            Err(CallError::NotAnswered(outcome)) => Err(outcome),
            Err(CallError::Refused(Exception { name, .. })) => Err(Outcome::Retry(
                format!(
                    "the table that APP_TABLE names cannot be read by the string `id`, which must be its key: {name}"
                )
                .into(),
            )),
        }
    }
}

impl BatchHandler for DynamoDbWriter {
    fn max_records(&self) -> MaxRecords {
        MaxRecords::literal::<500>()
    }

    async fn handle_batch(&self, batch: &mut RecordBatch<'_>) {
        let mut entities: BTreeMap<Entity, Vec<State<'_>>> = BTreeMap::new();
        for open in batch.open() {
            match self.entity(open.record()).and_then(|entity| Ok((entity, document(open.record())?))) {
                Ok(((entity, version), document)) => {
                    entities.entry(entity).or_default().push(State { open, version, document });
                }
                Err(outcome) => open.settle(outcome),
            }
        }
        let given_up = &AtomicBool::new(false);
        let project = |(entity, states)| async move { self.project(&entity, states, given_up).await };
        futures_util::stream::iter(entities).for_each_concurrent(AT_ONCE, project).await;
    }
}

/// What a record says about its entity.
fn document(record: &Record) -> Result<Option<Map<String, Value>>, Outcome> {
    if record.is_tombstone() {
        return Ok(None);
    }
    record.json().map(Some).map_err(|error| Outcome::Poison(error.into()))
}

/// The item that kept its place has this version or a newer one, unless its versions are others.
fn already_there(entity: &Entity, item: Option<Map<String, Value>>) -> Outcome {
    let version_of = item.as_ref().map(|item| item.get("version_of").and_then(|of| of["S"].as_str()));
    match version_of {
        Some(Some(version_of)) if version_of == entity.version_of => {
            Outcome::Skip("the table has it, or a newer one".into())
        }
        Some(_) => Outcome::Poison(
            "the item has the versions of another partition or header, which cannot be compared with the record's"
                .into(),
        ),
        None => Outcome::Retry("the table did not say which item kept its place".into()),
    }
}

/// Less than DynamoDB counts: names and texts.
fn least_size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(least_size).sum(),
        Value::Object(members) => least_size_of_members(members),
        _ => 1,
    }
}

fn least_size_of_members(members: &Map<String, Value>) -> usize {
    members.iter().map(|(name, value)| name.len() + least_size(value)).sum()
}
