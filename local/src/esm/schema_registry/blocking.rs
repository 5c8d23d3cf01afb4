//! Conversion for those who read a topic on a thread of their own.

use bytes::Bytes;
use msk_shared::event::Record;
use tokio::runtime::Runtime;

use super::super::error::MappingError;
use super::conversion::{Converted, Refusal};
use super::registry_settings::{RegistryCredentials, RegistrySettings};
use super::schema_store::SchemaStore;

/// A registry that is waited for.
pub(in super::super) struct BlockingRegistry {
    store: SchemaStore,
    runtime: Runtime,
}

/// A record with what the filters see in place of its value, or why it cannot be delivered.
type Outcome = Result<(Record, Option<Bytes>), (Record, Refusal)>;

impl BlockingRegistry {
    /// # Errors
    /// [`MappingError`] if a certificate cannot be used.
    pub(in super::super) fn new(
        settings: &RegistrySettings,
        credentials: &RegistryCredentials,
    ) -> Result<Self, MappingError> {
        let store = SchemaStore::new(settings, credentials)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self { store, runtime: runtime.map_err(MappingError::Runtime)? })
    }

    /// Converts a record; its JSON may have `limit` bytes. Each schema is asked for once.
    ///
    /// # Errors
    /// [`MappingError`] if the registry does not answer.
    pub(in super::super) fn convert(&self, mut record: Record, limit: usize) -> Result<Outcome, MappingError> {
        loop {
            match self.store.convert(record, limit) {
                Converted::Record { record, judged_value } => return Ok(Ok((record, judged_value))),
                Converted::Refused { record, refusal } => return Ok(Err((record, refusal))),
                Converted::Wanted { record: unconverted, schema_id } => {
                    self.runtime.block_on(self.store.fetch(schema_id))?;
                    record = unconverted;
                }
            }
        }
    }
}
