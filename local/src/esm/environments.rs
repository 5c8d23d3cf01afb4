//! The bound on requests in flight at an endpoint: what reserved concurrency is on AWS. An endpoint with a single
//! environment, such as AWS's runtime interface emulator, may end itself when a second request arrives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The endpoints of one process: mappings that invoke the same one share its bound.
#[derive(Debug, Default)]
pub struct Environments(Mutex<BTreeMap<String, Arc<Semaphore>>>);

/// One of the endpoint's environments, taken until this is dropped; an endpoint without a bound gives any number.
#[derive(Debug)]
pub(super) struct Environment(pub(super) Option<OwnedSemaphorePermit>);

/// The environments of one endpoint.
#[derive(Debug, Clone)]
pub(super) struct EndpointEnvironments(Option<Arc<Semaphore>>);

impl Environments {
    /// Those of the endpoint at `url`, at most `most` of which are in use at once.
    pub(super) fn endpoint(&self, url: &str, most: Option<usize>) -> EndpointEnvironments {
        let mut endpoints = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        EndpointEnvironments(
            most.map(|most| {
                Arc::clone(endpoints.entry(url.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(most))))
            }),
        )
    }
}

impl EndpointEnvironments {
    /// Waits until an environment is free, in the order of the callers.
    pub(super) async fn take(&self) -> Environment {
        match &self.0 {
            None => Environment(None),
            // The semaphore is never closed.
            Some(free) => Environment(Arc::clone(free).acquire_owned().await.ok()),
        }
    }
}
