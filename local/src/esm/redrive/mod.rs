//! Dead letters back to the topics they came from.
//!
//! | Module | Contains |
//! |---|---|
//! | `failure_document` | what a dead letter says about the records in it |
//! | `letter_source` | reading dead-letter topics, and records by their places |
//! | `redriver` | sending a record back, with its count of redrives |

mod failure_document;
mod letter_source;
mod redriver;

use serde_json::Value;

use super::error::MappingError;
use crate::output::{Line, RedriveSummaryLine, RedrivenLine, Reporter};
use failure_document::{DeadLetter, Found, Unreadable, messages, read_document, read_message};
use letter_source::DeadLetterTopic;
use redriver::{Redriver, Sent, is_of_one_topic};

pub use letter_source::Cluster;

/// How to redrive.
#[derive(Debug, Clone, Copy)]
pub struct RedriveOptions {
    /// How often a record may be sent back altogether.
    pub max_redrives: u32,
    /// At most this many dead letters are read.
    pub most: Option<u64>,
    /// Only say what would be sent.
    pub dry_run: bool,
    /// Begin at the oldest dead letter, not behind those that an earlier redrive has read.
    pub from_beginning: bool,
}

/// What became of the dead letters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Redriven {
    /// Records that were sent back, or would have been.
    pub sent: u64,
    /// Records and letters that were not.
    pub left: u64,
}

/// Sends the records of failure documents back to their topics. `documents` are named for the output.
///
/// # Errors
/// [`MappingError`] if the brokers do not answer, or do not take a record.
pub async fn redrive_documents(
    cluster: &Cluster,
    documents: &[(String, Value)],
    options: RedriveOptions,
    reporter: &Reporter,
) -> Result<Redriven, MappingError> {
    let mut run = Run::new(cluster, options, reporter)?;
    let most = options.most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    for (name, document) in documents.iter().flat_map(letters_of).take(most) {
        run.letter(&name, read_document(document)).await?;
    }
    Ok(run.end())
}

/// Each letter of a document by itself: what is wrong with one concerns no other.
fn letters_of((name, document): &(String, Value)) -> Vec<(String, &Value)> {
    match messages(document) {
        Some(messages) => messages
            .iter()
            .enumerate()
            .map(|(index, message)| (format!("{name}, message {}", index + 1), message))
            .collect(),
        None => vec![(name.clone(), document)],
    }
}

/// Sends the records of a dead-letter topic back to their topics, from where the last redrive ended to its end now. What is
/// sent or left is committed, so that it is read once.
///
/// # Errors
/// [`MappingError`] if the brokers do not answer, or do not take a record.
pub async fn redrive_topic(
    cluster: &Cluster,
    topic: &str,
    options: RedriveOptions,
    reporter: &Reporter,
) -> Result<Redriven, MappingError> {
    let mut run = Run::new(cluster, options, reporter)?;
    let mut letters = DeadLetterTopic::open(cluster, topic, options.from_beginning).await?;
    let result = run.letters(&mut letters, topic, options.most).await;
    // What was done before an error is not done again.
    let closed = letters.close().await;
    result.and(closed)?;
    Ok(run.end())
}

fn returns_to(found: &[Found], topic: &str) -> bool {
    found.iter().any(|found| match found {
        Found::Record(letter) => letter.topic == topic,
        Found::Places(places) => places.topic == topic,
    })
}

struct Run<'a> {
    cluster: &'a Cluster,
    redriver: Redriver,
    reporter: &'a Reporter,
    redriven: Redriven,
    dry_run: bool,
}

impl<'a> Run<'a> {
    fn new(cluster: &'a Cluster, options: RedriveOptions, reporter: &'a Reporter) -> Result<Self, MappingError> {
        let redriver = Redriver::new(cluster, options.max_redrives, options.dry_run)?;
        Ok(Self { cluster, redriver, reporter, redriven: Redriven::default(), dry_run: options.dry_run })
    }

    async fn letters(
        &mut self,
        letters: &mut DeadLetterTopic,
        topic: &str,
        most: Option<u64>,
    ) -> Result<(), MappingError> {
        let mut read = 0;
        while most.is_none_or(|most| read < most)
            && let Some(message) = letters.next().await?
        {
            read += 1;
            let name = format!("{topic}-{}@{}", message.partition, message.offset);
            let found = read_message(message.key.as_deref(), message.value.as_deref(), message.headers);
            // A letter that came from this topic would be read again without end.
            let found =
                found.and_then(|found| if returns_to(&found, topic) { Err(Unreadable::OwnTopic) } else { Ok(found) });
            self.letter(&name, found).await?;
            if !self.dry_run {
                letters.done(message.partition, message.offset).await?;
            }
        }
        Ok(())
    }

    async fn letter(&mut self, from: &str, found: Result<Vec<Found>, Unreadable>) -> Result<(), MappingError> {
        let found = match found {
            Ok(found) => found,
            Err(problem) => {
                self.left(from, None, problem.to_string());
                return Ok(());
            }
        };
        for found in found {
            match found {
                Found::Record(letter) => self.record(from, letter).await?,
                Found::Places(places) => {
                    let kept = match letter_source::at_places(self.cluster, &places).await {
                        Err(error) if is_of_one_topic(&error) => {
                            self.left(from, Some(places.topic), error.to_string());
                            continue;
                        }
                        kept => kept?,
                    };
                    if kept.gone > 0 {
                        let to = format!("{}-{}", places.topic, places.partition);
                        let text =
                            format!("{} of its records are gone from the topic (retention or compaction)", kept.gone);
                        self.left(from, Some(to), text);
                    }
                    for letter in kept.letters {
                        self.record(from, letter).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn record(&mut self, from: &str, letter: DeadLetter) -> Result<(), MappingError> {
        let topic = letter.topic.clone();
        match self.redriver.send(letter).await? {
            Sent::To { place, redrives } => {
                self.redriven.sent += 1;
                let outcome = if self.dry_run { "would_be_sent" } else { "sent" };
                self.print(from, Some(place), outcome, Some(redrives), None);
            }
            Sent::TooOften { redrives } => {
                let text = format!("it was sent back {redrives} times already; --max-redrives allows more");
                self.left(from, Some(topic), text);
            }
            Sent::Refused { reason } => self.left(from, Some(topic), reason),
        }
        Ok(())
    }

    fn left(&mut self, from: &str, to: Option<String>, detail: String) {
        self.redriven.left += 1;
        self.print(from, to, "left", None, Some(detail));
    }

    fn print(
        &self,
        from: &str,
        to: Option<String>,
        outcome: &'static str,
        redrives: Option<u32>,
        detail: Option<String>,
    ) {
        self.reporter.line(&Line::Redriven(RedrivenLine { from: from.to_owned(), to, outcome, redrives, detail }));
    }

    fn end(self) -> Redriven {
        let Redriven { sent, left } = self.redriven;
        self.reporter.line(&Line::RedriveSummary(RedriveSummaryLine { sent, left, dry_run: self.dry_run }));
        self.redriven
    }
}
