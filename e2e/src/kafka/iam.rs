//! What the brokers know about IAM: access keys, the roles behind them, the roles' policies, and the clock.
//!
//! The brokers reread these files when they change, so a test can rotate a key or revoke a permission while the
//! cluster is running.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::Serialize;
use serde_json::json;

use crate::error::{Result, file_error};

/// The AWS region the test bed pretends to be in.
pub const REGION: &str = "eu-central-1";

/// The role of the access key every cluster starts with.
pub const PRODUCER_ROLE: &str = "arn:aws:iam::123456789012:role/producer";

/// The ARN prefix of the test bed's only cluster, without the resource type.
const ARN: &str = "arn:aws:kafka:eu-central-1:123456789012";
const CLUSTER: &str = "msk-e2e/00000000-0000-0000-0000-000000000000-1";

/// An access key as found in a function's environment.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// `AWS_ACCESS_KEY_ID`.
    pub id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret: String,
    /// `AWS_SESSION_TOKEN` of temporary credentials.
    pub session_token: Option<String>,
}

impl AccessKey {
    /// Random temporary credentials, as a Lambda function gets them.
    pub fn temporary() -> Self {
        Self {
            id: format!("ASIA{}", random_text(16, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")),
            secret: random_text(40, BASE64),
            // Real ones are about 1 kB of base64, padding included: `/`, `+` and `=` must survive the URL.
            session_token: Some(format!("{}/+==", random_text(700, BASE64))),
        }
    }

    /// The variables the AWS SDKs read.
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut variables = vec![
            ("AWS_ACCESS_KEY_ID".to_owned(), self.id.clone()),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), self.secret.clone()),
            ("AWS_REGION".to_owned(), REGION.to_owned()),
        ];
        variables.extend(self.session_token.iter().map(|token| ("AWS_SESSION_TOKEN".to_owned(), token.clone())));
        variables
    }
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("AccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}

const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn random_text(length: usize, alphabet: &[u8]) -> String {
    use rand::seq::IndexedRandom as _;
    let mut rng = rand::rng();
    (0..length).filter_map(|_| alphabet.choose(&mut rng).map(|&byte| char::from(byte))).collect()
}

/// The name of the file with the policies.
const POLICIES: &str = "policies.json";

/// One statement of a policy.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    /// `Allow` or `Deny`.
    pub effect: &'static str,
    /// `kafka-cluster:...` actions, with wildcards.
    pub action: Vec<String>,
    /// ARNs, with wildcards.
    pub resource: Vec<String>,
}

impl Statement {
    /// Allows `actions` (without their `kafka-cluster:` prefix) on `resources`.
    pub fn allow(actions: &[&str], resources: &[String]) -> Self {
        let action = actions.iter().map(|action| format!("kafka-cluster:{action}")).collect();
        Self { effect: "Allow", action, resource: resources.to_vec() }
    }
}

/// The ARN of the cluster.
pub fn cluster_arn() -> String {
    format!("{ARN}:cluster/{CLUSTER}")
}

/// The ARN of a topic; `*` stands for all.
pub fn topic_arn(topic: &str) -> String {
    format!("{ARN}:topic/{CLUSTER}/{topic}")
}

/// The ARN of a consumer group; `*` stands for all.
pub fn group_arn(group: &str) -> String {
    format!("{ARN}:group/{CLUSTER}/{group}")
}

/// The producer's policy, exactly as the infrastructure gives it.
pub fn producer_policy(topics: &[&str]) -> Vec<Statement> {
    let topics: Vec<String> = topics.iter().map(|topic| topic_arn(topic)).collect();
    vec![
        Statement::allow(&["Connect", "WriteDataIdempotently"], &[cluster_arn()]),
        Statement::allow(&["DescribeTopic", "DescribeTopicDynamicConfiguration", "WriteData"], &topics),
    ]
}

/// The files the brokers read, and the way to change them.
#[derive(Debug)]
pub struct IamFiles {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    keys: BTreeMap<String, (AccessKey, String)>,
    policies: BTreeMap<String, Vec<Statement>>,
}

impl IamFiles {
    /// Writes files with no key and no policy.
    ///
    /// # Errors
    /// [`crate::Error::File`] if the folder is not writable.
    pub fn new(folder: &Path) -> Result<Self> {
        let files = Self { folder: folder.to_owned(), state: Mutex::default() };
        files.write_keys(&State::default())?;
        files.write_policies(&State::default())?;
        files.set_clock_offset_ms(0)?;
        Ok(files)
    }

    /// Adds `key` as a key of `role`.
    ///
    /// # Errors
    /// [`crate::Error::File`] if the file cannot be written.
    pub fn add_key(&self, key: &AccessKey, role: &str) -> Result<()> {
        let mut state = self.state();
        state.keys.insert(key.id.clone(), (key.clone(), role.to_owned()));
        self.write_keys(&state)
    }

    /// Removes a key, as if it had been deleted or had expired.
    ///
    /// # Errors
    /// [`crate::Error::File`] if the file cannot be written.
    pub fn remove_key(&self, id: &str) -> Result<()> {
        let mut state = self.state();
        state.keys.remove(id);
        self.write_keys(&state)
    }

    /// Replaces the policy of `role`.
    ///
    /// # Errors
    /// [`crate::Error::File`] if the file cannot be written.
    pub fn set_policy(&self, role: &str, statements: Vec<Statement>) -> Result<()> {
        let mut state = self.state();
        state.policies.insert(role.to_owned(), statements);
        self.write_policies(&state)
    }

    /// Sets the clock that the brokers use to check tokens, for functions whose clock has been moved.
    ///
    /// # Errors
    /// [`crate::Error::File`] if the file cannot be written.
    pub fn set_clock_offset_ms(&self, offset_ms: i64) -> Result<()> {
        self.replace("clock-offset", &offset_ms.to_string())
    }

    /// The file with the policies, a list of statements by role's ARN. The brokers reread it when it changes.
    pub fn policies_file(&self) -> PathBuf {
        self.folder.join(POLICIES)
    }

    /// The system properties that tell the brokers' classes where the files are.
    pub fn system_properties(&self) -> Vec<String> {
        let file = |property: &str, name: &str| format!("-Dmsk.e2e.{property}={}", self.folder.join(name).display());
        vec![
            format!("-Dmsk.e2e.region={REGION}"),
            file("credentials", "credentials.json"),
            file("policies", POLICIES),
            file("clock-offset", "clock-offset"),
        ]
    }

    fn write_keys(&self, state: &State) -> Result<()> {
        let keys: BTreeMap<_, _> = state
            .keys
            .iter()
            .map(|(id, (key, role))| {
                (id, json!({"secret": key.secret, "session_token": key.session_token, "principal": role}))
            })
            .collect();
        self.replace("credentials.json", &json!(keys).to_string())
    }

    fn write_policies(&self, state: &State) -> Result<()> {
        self.replace(POLICIES, &json!(state.policies).to_string())
    }

    /// Renames a complete file into place, so that a broker never reads a partial one.
    fn replace(&self, name: &str, content: &str) -> Result<()> {
        let path = self.folder.join(name);
        let new = self.folder.join(format!("{name}.new"));
        fs::write(&new, content).map_err(file_error(&new))?;
        fs::rename(&new, &path).map_err(file_error(&path))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
