//! Records between the topic and the batcher: they are converted, if the mapping has a schema registry, and filtered.

use std::sync::Arc;
use std::time::Instant;

use msk_shared::event::Record;

use super::super::commit::DeliveryTicket;
use super::super::msk_event::{MAX_EVENT_BYTES, PolledRecord};
use super::super::schema_registry::conversion::Converted;
use super::super::schema_registry::registry_client::RegistryError;
use super::Poller;

impl Poller {
    pub(super) fn on_record(&mut self, record: Record, ticket: DeliveryTicket) {
        if self.converting.registry().is_none() {
            return self.on_converted(record, None, ticket);
        }
        self.converting.push(record, ticket);
        self.convert(ticket.partition);
    }

    pub(super) fn on_fetched(&mut self, fetched: Result<u32, RegistryError>) -> Result<(), RegistryError> {
        for partition in self.converting.unblocked(fetched?) {
            self.convert(partition);
        }
        Ok(())
    }

    /// A record is finished: perhaps one that was given up for its schema.
    pub(super) fn on_refusal_ended(&mut self, ticket: DeliveryTicket) {
        if self.converting.refusal_ended(ticket) {
            self.convert(ticket.partition);
        }
    }

    /// Converts what waits in a partition, up to a record that cannot go on yet.
    fn convert(&mut self, partition: i32) {
        let Some(registry) = self.converting.registry().cloned() else { return };
        while let Some((record, ticket)) = self.converting.next(partition) {
            match registry.convert(record, MAX_EVENT_BYTES) {
                Converted::Record { record, judged_value } => {
                    self.on_converted(record, judged_value.as_deref(), ticket)
                }
                Converted::Wanted { record, schema_id } => {
                    self.converting.wait_for_schema(record, ticket, schema_id, &self.delivery);
                }
                Converted::Refused { record, refusal } => {
                    self.converting.wait_for_refusal(ticket);
                    let record = PolledRecord::new(record, ticket, Instant::now());
                    self.add_in_flight(&record);
                    self.deliveries.spawn(Arc::clone(&self.delivery).give_up_refused(record, refusal));
                }
            }
        }
    }

    /// Filters a record; `judged_value` is what the filters see in place of its value.
    fn on_converted(&mut self, record: Record, judged_value: Option<&[u8]>, ticket: DeliveryTicket) {
        if self.delivery.mapping.filters.keep(&record, judged_value) {
            return self.batcher.push(PolledRecord::new(record, ticket, Instant::now()));
        }
        self.delivery.metrics.update(|counts| counts.filtered_out_event_count += 1);
        self.delivery.report(&record, "filtered");
        self.finish(ticket);
    }
}
