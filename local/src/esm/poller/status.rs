//! What a poller tells of its partitions from time to time.

use std::sync::Arc;
use std::time::Instant;

use super::super::system_log::PartitionStatus;
use super::Poller;

impl Poller {
    /// Tells the system log where the partitions stand, when it is time to. The brokers are asked in the background; if they do not
    /// answer, nothing is told.
    pub(super) fn tell_status(&mut self) {
        let Some(interval) = self.delivery.log.status_interval() else { return };
        let now = Instant::now();
        if self.status_at.is_none_or(|at| at > now) {
            return;
        }
        self.status_at = Some(now + interval);
        let progress: Vec<_> =
            self.partitions.iter().map(|(number, state)| (*number, state.consumed, state.processed)).collect();
        let (offsets, log, topic) = (Arc::clone(&self.offsets), self.delivery.log.clone(), Arc::clone(&self.topic));
        tokio::spawn(async move {
            // What has no answer by then is asked again.
            let asked = match tokio::time::timeout(interval, offsets.read()).await {
                Ok(Ok(asked)) => asked,
                Ok(Err(error)) => return log.kafka_error(&error),
                Err(_) => return,
            };
            for (number, consumed_offset, processed_offset) in progress {
                let Some(found) = asked.iter().find(|found| found.partition == number) else { continue };
                log.status(PartitionStatus {
                    partition: &format!("{topic}-{number}"),
                    end_offset: found.end,
                    consumed_offset,
                    processed_offset,
                    committed_offset: found.committed,
                });
            }
        });
    }
}
