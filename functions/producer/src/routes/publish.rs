//! `POST /topics/{topic}` and `POST /topics/{topic}/partitions/{partition}`: records in the v2 family's envelope.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderMap;
use msk_shared::kafka::OutboundRecord;

use crate::answer;
use crate::app::{App, Backend};
use crate::config::StatusMode;
use crate::context::RequestInfo;
use crate::problem::{Kind, Problem};
use crate::request::body;
use crate::request::carried::Carried;
use crate::request::envelope::{self, Envelope, Reading};
use crate::request::issues::Places;
use crate::request::media::{self, ACCEPT_POST, ACCEPT_POST_TOPICS, Format, Media};
use crate::topics::Topic;
use crate::validate;

use super::{hand_over, listed};

/// Records to a topic.
pub(crate) async fn to_topic<B: Backend>(
    State(app): State<Arc<App<B>>>,
    Extension(info): Extension<RequestInfo>,
    topic: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let topic = topic.ok().map(|Path(name)| name);
    publish(&app, &info, topic.as_deref(), None, &headers, body).await.unwrap_or_else(IntoResponse::into_response)
}

/// Records to one partition of a topic.
pub(crate) async fn to_partition<B: Backend>(
    State(app): State<Arc<App<B>>>,
    Extension(info): Extension<RequestInfo>,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let (topic, partition) = path.ok().map(|Path(both)| both).unzip();
    publish(&app, &info, topic.as_deref(), Some(partition.unwrap_or_default()), &headers, body)
        .await
        .unwrap_or_else(IntoResponse::into_response)
}

async fn publish<B: Backend>(
    app: &App<B>,
    info: &RequestInfo,
    topic: Option<&str>,
    partition: Option<String>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let topic = listed(app, topic)?;
    let partition = partition.map(|text| partition_of_path(&text)).transpose()?;
    let media = media::media_of(headers, ACCEPT_POST_TOPICS)?;
    let carried = Carried::of(headers)?;
    let body = body::read(headers, body, app.config.limits.request_bytes.get(), info.deadline).await?;
    let envelope = decode(app, media, &body)?;
    let records = records(app, topic, partition, envelope)?;
    validate::partitions_exist(&app.backend, &records, Places::Envelope, info.deadline).await?;
    let mut records = records;
    carried.put_on(&mut records);
    let outcome = hand_over(app, records, info.deadline).await;
    let mode = app.config.status_mode;
    let answer = answer::of_results(mode, &topic.name, &info.request_id, &outcome.sizes, &outcome.results);
    Ok(outcome.respond(answer))
}

/// A partition in a path is a name like any other there: one that is no number does not exist.
fn partition_of_path(text: &str) -> Result<i32, Problem> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain).ok_or_else(|| {
        Problem::new(Kind::PartitionNotFound, "the path names no partition; it is a whole number from 0")
    })
}

fn decode<B: Backend>(app: &App<B>, media: Media, body: &Bytes) -> Result<Envelope, Problem> {
    let format = match media {
        Media::V2(format) => format,
        Media::Json | Media::Missing => Format::Json,
    };
    let strict = app.config.status_mode == StatusMode::Strict;
    let reading = Reading { format, strict, max_records: app.config.limits.records.get() };
    let envelope = envelope::read(body, reading);
    match (envelope, media) {
        (Ok(envelope), _) if envelope.has_records => Ok(envelope),
        (_, Media::Missing) => {
            Err(Problem::new(Kind::UnsupportedMediaType, "Content-Type is missing; Accept-Post lists the types taken")
                .with_header(ACCEPT_POST, ACCEPT_POST_TOPICS))
        }
        (Ok(_), Media::Json) => Err(Problem::new(
            Kind::Invalid,
            "the body has no array `records`; to send a body that is itself one message, POST it to /messages",
        )),
        (Ok(envelope), Media::V2(_)) => Ok(envelope),
        (Err(error), _) => Err(Problem::new(Kind::Malformed, format!("malformed JSON: {error}"))),
    }
}

/// Everything that can be known without the cluster is known here.
fn records<B: Backend>(
    app: &App<B>,
    topic: &Topic,
    partition: Option<i32>,
    envelope: Envelope,
) -> Result<Vec<OutboundRecord>, Problem> {
    // What does not decode comes first, then the count: of too many records not all were looked at.
    if envelope.issues.has(Kind::Malformed) {
        envelope.issues.into_result()?;
        return Ok(Vec::new());
    }
    envelope.check_count(app.config.limits.records.get())?;
    let mut issues = envelope.issues;
    let mut drafts = envelope.records;
    if let Some(partition) = partition {
        validate::fix_partition(&mut drafts, partition, &mut issues);
    }
    let records = validate::records(drafts, topic, &app.config.limits, &mut issues);
    issues.into_result()?;
    Ok(records)
}
