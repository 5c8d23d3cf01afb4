//! Records that wait for their conversion: those behind a record that cannot go on yet wait, too, so a partition keeps its order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use msk_shared::event::Record;
use tokio::task::JoinSet;

use super::batch_delivery::{BatchDelivery, backoff};
use super::commit::DeliveryTicket;
use super::msk_event::MAX_EVENT_BYTES;
use super::schema_registry::registry_client::RegistryError;
use super::schema_registry::schema_store::SchemaStore;

/// Records of a partition that wait for a schema before it is paused, and their bytes: what the batcher keeps, too.
const MAX_WAITING: usize = 2_000;
const MAX_WAITING_BYTES: usize = 2 * MAX_EVENT_BYTES;

/// The conversion of one poller's records.
pub(super) struct ConversionQueue {
    registry: Option<Arc<SchemaStore>>,
    partitions: BTreeMap<i32, PartitionQueue>,
    fetches: JoinSet<Result<u32, RegistryError>>,
    fetching: BTreeSet<u32>,
}

/// Records of one partition, in their order.
#[derive(Default)]
struct PartitionQueue {
    records: VecDeque<(Record, DeliveryTicket)>,
    bytes: usize,
    blocked: Option<Block>,
}

/// What the first of them waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Schema(u32),
    /// The record before it is being given up.
    Refusal(DeliveryTicket),
}

impl PartitionQueue {
    /// Whether it was blocked by this, which has ended.
    fn end(&mut self, block: Block) -> bool {
        self.blocked.take_if(|blocked| *blocked == block).is_some()
    }
}

fn bytes(record: &Record) -> usize {
    let length = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
    length(record.key_as_received()) + length(record.value_as_received())
}

impl ConversionQueue {
    pub(super) fn new(registry: Option<Arc<SchemaStore>>) -> Self {
        Self { registry, partitions: BTreeMap::new(), fetches: JoinSet::new(), fetching: BTreeSet::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// Whether so much of the partition waits that reading more would only cost memory.
    pub(super) fn is_full(&self, partition: i32) -> bool {
        let waiting = self.partitions.get(&partition);
        waiting.is_some_and(|waiting| waiting.records.len() >= MAX_WAITING || waiting.bytes >= MAX_WAITING_BYTES)
    }

    /// Drops the records of a partition that was revoked.
    pub(super) fn forget(&mut self, partition: i32) {
        self.partitions.remove(&partition);
    }

    /// The next schema that the registry has answered; never while none is asked for.
    pub(super) async fn fetched(&mut self) -> Result<u32, RegistryError> {
        match self.fetches.join_next().await {
            Some(Ok(fetched)) => fetched,
            Some(Err(panic)) if panic.is_panic() => std::panic::resume_unwind(panic.into_panic()),
            _ => std::future::pending().await,
        }
    }

    pub(super) fn registry(&self) -> Option<&Arc<SchemaStore>> {
        self.registry.as_ref()
    }

    /// Adds a record to its partition, after those already waiting.
    pub(super) fn push(&mut self, record: Record, ticket: DeliveryTicket) {
        let waiting = self.partitions.entry(ticket.partition).or_default();
        waiting.bytes += bytes(&record);
        waiting.records.push_back((record, ticket));
    }

    /// The partition's next record, unless it has to wait.
    pub(super) fn next(&mut self, partition: i32) -> Option<(Record, DeliveryTicket)> {
        let waiting = self.partitions.get_mut(&partition)?;
        if waiting.blocked.is_some() {
            return None;
        }
        let Some((record, ticket)) = waiting.records.pop_front() else {
            self.partitions.remove(&partition);
            return None;
        };
        waiting.bytes -= bytes(&record);
        Some((record, ticket))
    }

    /// Puts the record back, to be the next one when the registry has told the schema.
    pub(super) fn wait_for_schema(
        &mut self,
        record: Record,
        ticket: DeliveryTicket,
        id: u32,
        delivery: &Arc<BatchDelivery>,
    ) {
        let waiting = self.partitions.entry(ticket.partition).or_default();
        waiting.bytes += bytes(&record);
        waiting.records.push_front((record, ticket));
        waiting.blocked = Some(Block::Schema(id));
        if let Some(registry) = &self.registry
            && self.fetching.insert(id)
        {
            self.fetches.spawn(fetch(Arc::clone(registry), id, Arc::clone(delivery)));
        }
    }

    /// The partition goes on when this record, its first one, has been given up.
    pub(super) fn wait_for_refusal(&mut self, ticket: DeliveryTicket) {
        self.partitions.entry(ticket.partition).or_default().blocked = Some(Block::Refusal(ticket));
    }

    /// The partitions that go on now that this schema is known.
    pub(super) fn unblocked(&mut self, id: u32) -> Vec<i32> {
        self.fetching.remove(&id);
        let waiting = self.partitions.iter_mut();
        waiting.filter_map(|(number, waiting)| waiting.end(Block::Schema(id)).then_some(*number)).collect()
    }

    /// Whether the partition goes on now that this record is finished: its refused one.
    pub(super) fn refusal_ended(&mut self, ticket: DeliveryTicket) -> bool {
        self.partitions.get_mut(&ticket.partition).is_some_and(|waiting| waiting.end(Block::Refusal(ticket)))
    }
}

/// Asks until the registry answers: a record is not at fault for what the registry does.
async fn fetch(registry: Arc<SchemaStore>, id: u32, delivery: Arc<BatchDelivery>) -> Result<u32, RegistryError> {
    let mut failures = 0;
    loop {
        match registry.fetch(id).await {
            Ok(()) => return Ok(id),
            Err(error) if error.is_final() => return Err(error),
            Err(error) => {
                delivery.metrics.update(|counts| counts.schema_registry_error_count += 1);
                delivery.log.error("SchemaRegistryError", &error.to_string());
                tracing::warn!(%error, schema_id = id, "a schema cannot be fetched; its records wait, and it will be retried");
                tokio::time::sleep(backoff(&delivery.mapping.failures, failures)).await;
                failures += 1;
            }
        }
    }
}
