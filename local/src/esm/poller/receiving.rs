//! What a poller reads: records and errors.

use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message};

use super::super::consumer;
use super::Poller;

impl Poller {
    pub(super) fn on_polled(&mut self, message: KafkaResult<BorrowedMessage<'_>>) -> KafkaResult<()> {
        // The callbacks ran before the record was returned, so their events come first.
        self.on_group_events();
        let message = match message {
            Ok(message) => message,
            Err(error) => return self.on_error(error),
        };
        self.silence.broken();
        let Some(partition) = self.partitions.get_mut(&message.partition()) else { return Ok(()) };
        partition.at_end = false;
        partition.consumed = Some(message.offset());
        let ticket = partition.tracker.polled(message.offset());
        self.delivery.metrics.polled(message.key_len() + message.payload_len());
        self.on_record(consumer::record(&message, &self.topic), ticket);
        Ok(())
    }

    fn on_error(&mut self, error: KafkaError) -> KafkaResult<()> {
        if let KafkaError::PartitionEOF(number) = error {
            self.silence.broken();
            if let Some(partition) = self.partitions.get_mut(&number) {
                partition.at_end = true;
            }
            return Ok(());
        }
        self.delivery.metrics.update(|counts| counts.polling_error_count += 1);
        self.delivery.log.kafka_error(&error);
        if consumer::is_fatal(&error) {
            return Err(error);
        }
        // The client retries by itself.
        tracing::warn!(%error, topic = %self.topic, "polling failed; it will be retried");
        Ok(())
    }
}
