//! The schemas that a mapping knows, and how it asks for one more: a registry never changes what an id means.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::registry_client::{RegistryClient, RegistryError};
use super::registry_settings::{EventRecordFormat, RegistryCredentials, RegistrySettings};
use super::registry_tls::RegistryTlsError;
use super::schema::{Schema, UnknownFormat};

/// How long an id that the registry does not know stays unknown: a topic of such records must not ask for each of them, and a
/// schema may be registered late.
const UNKNOWN_FOR: Duration = Duration::from_secs(5);

/// The schemas of one mapping.
pub(in super::super) struct SchemaStore {
    pub(super) settings: RegistrySettings,
    client: RegistryClient,
    known: Mutex<HashMap<u32, Known>>,
}

#[derive(Clone)]
enum Known {
    Schema(Arc<Schema>),
    /// The registry has said so at this time.
    NotThere(Instant),
}

/// What is known of an id.
pub(super) enum Lookup {
    Schema(Arc<Schema>),
    NotThere,
    /// [`SchemaStore::fetch`] must be asked first.
    Unknown,
}

impl SchemaStore {
    /// A store that knows nothing yet.
    ///
    /// # Errors
    /// [`RegistryTlsError`] if a certificate cannot be used.
    pub(in super::super) fn new(
        settings: &RegistrySettings,
        credentials: &RegistryCredentials,
    ) -> Result<Self, RegistryTlsError> {
        let client = RegistryClient::new(settings, credentials)?;
        Ok(Self { settings: settings.clone(), client, known: Mutex::default() })
    }

    pub(super) fn lookup(&self, id: u32) -> Lookup {
        match self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            Some(Known::Schema(schema)) => Lookup::Schema(Arc::clone(schema)),
            Some(Known::NotThere(since)) if since.elapsed() < UNKNOWN_FOR => Lookup::NotThere,
            _ => Lookup::Unknown,
        }
    }

    /// Asks the registry, once. An id that it does not have is an answer, too.
    ///
    /// # Errors
    /// [`RegistryError`] if it does not answer, or with a schema of a format that cannot be delivered.
    pub(in super::super) async fn fetch(&self, id: u32) -> Result<(), RegistryError> {
        let fetched = match self.client.schema(id).await? {
            None => Known::NotThere(Instant::now()),
            Some(text) => {
                let format = |format: String| RegistryError::Format { url: self.client.url().to_owned(), id, format };
                let schema = Schema::compile(&text).map_err(|UnknownFormat(name)| format(name))?;
                if let (Schema::Protobuf, EventRecordFormat::Json) = (&schema, self.settings.format) {
                    return Err(format(text.kind));
                }
                if let Schema::Protobuf = schema {
                    tracing::warn!(
                        schema_id = id,
                        "values of this PROTOBUF schema are delivered without being validated"
                    );
                }
                Known::Schema(Arc::new(schema))
            }
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // A topic may name any number of ids that nobody registers.
        known.retain(|_, known| !matches!(known, Known::NotThere(since) if since.elapsed() >= UNKNOWN_FOR));
        known.insert(id, fetched);
        Ok(())
    }
}
