//! `POST /messages`: the body is one message.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use msk_shared::names::TopicName;
use serde::Serialize;

use crate::answer;
use crate::app::{App, Backend};
use crate::config::StatusMode;
use crate::context::RequestInfo;
use crate::problem::{FieldError, Kind, Problem};
use crate::request::carried::Carried;
use crate::request::issues::{Issues, Places};
use crate::request::media::{self, ACCEPT_POST, ACCEPT_POST_MESSAGES, Media};
use crate::request::{body, message, query};
use crate::validate;

use super::{hand_over, listed};

/// One message, to `?topic=` or to the default topic.
pub(crate) async fn publish<B: Backend>(
    State(app): State<Arc<App<B>>>,
    Extension(info): Extension<RequestInfo>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    one(&app, &info, &uri, &headers, body).await.unwrap_or_else(IntoResponse::into_response)
}

async fn one<B: Backend>(
    app: &App<B>,
    info: &RequestInfo,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let parameters = Parameters::of(uri.query(), app.config.status_mode)?;
    let topic = listed(app, Some(parameters.topic.as_deref().unwrap_or(app.config.default_topic.as_str())))?;
    let media = media_type(headers)?;
    let carried = Carried::of(headers)?;
    let mut draft = message::fields(headers)?;
    draft.key = parameters.key(draft.key)?;
    let body = body::read(headers, body, app.config.limits.request_bytes.get(), info.deadline).await?;
    draft.value = message::value(&body).map_err(|error| match media {
        Media::Missing => unsupported(),
        _ => Problem::new(Kind::Malformed, format!("malformed JSON: {error}")),
    })?;
    let mut issues = Issues::at(Places::Message);
    let mut records = validate::records(vec![draft], topic, &app.config.limits, &mut issues);
    issues.into_result()?;
    validate::partitions_exist(&app.backend, &records, Places::Message, info.deadline).await?;
    carried.put_on(&mut records);
    let outcome = hand_over(app, records, info.deadline).await;
    let answer = match outcome.results.first() {
        Some(Ok(delivery)) => Ok(answer::json(
            StatusCode::OK,
            "application/json",
            &Answer {
                topic: &topic.name,
                partition: delivery.partition,
                offset: delivery.offset,
                timestamp: delivery.timestamp_ms,
                request_id: &info.request_id,
            },
        )),
        Some(Err(failure)) => Err(Problem::of_record(failure, outcome.sizes.first().copied().unwrap_or_default())),
        None => Err(Problem::new(Kind::Internal, "the record's fate is not known").perhaps_written()),
    };
    Ok(outcome.respond(answer))
}

#[derive(Serialize)]
struct Answer<'a> {
    topic: &'a TopicName,
    partition: i32,
    offset: i64,
    timestamp: Option<i64>,
    request_id: &'a str,
}

fn media_type(headers: &HeaderMap) -> Result<Media, Problem> {
    match media::media_of(headers, ACCEPT_POST_MESSAGES)? {
        Media::V2(_) => Err(unsupported()),
        media => Ok(media),
    }
}

fn unsupported() -> Problem {
    Problem::new(Kind::UnsupportedMediaType, "the body is one JSON message: send it as application/json")
        .with_header(ACCEPT_POST, ACCEPT_POST_MESSAGES)
}

/// The query's `topic` and `key`.
#[derive(Debug, Default)]
struct Parameters {
    topic: Option<String>,
    key: Option<String>,
}

impl Parameters {
    fn of(query: Option<&str>, mode: StatusMode) -> Result<Self, Problem> {
        let mut parameters = Self::default();
        for (name, value) in query::parameters(query)? {
            let slot = match name.as_str() {
                "topic" => &mut parameters.topic,
                "key" => &mut parameters.key,
                // A request may be signed in its query (SigV4 presigned URLs).
                name if name.starts_with("X-Amz-") || mode == StatusMode::Confluent => continue,
                _ => return Err(invalid("query", "unknown parameter; known are `topic` and `key`")),
            };
            if slot.replace(value).is_some() {
                return Err(invalid("query", "a parameter is there more than once; give one"));
            }
        }
        Ok(parameters)
    }

    /// The key, from the query or from the header `Kafka-Key`; both may be given if they say the same.
    fn key(&self, header: Option<Bytes>) -> Result<Option<Bytes>, Problem> {
        match (&self.key, header) {
            (Some(key), Some(header)) if key.as_bytes() != header => {
                Err(invalid("Kafka-Key", "contradicts `?key=`; leave one of them out"))
            }
            (Some(key), _) => Ok(Some(Bytes::from(key.clone()))),
            (None, header) => Ok(header),
        }
    }
}

fn invalid(pointer: &str, detail: &str) -> Problem {
    let error = FieldError { pointer: pointer.to_owned(), detail: detail.to_owned() };
    Problem::new(Kind::Invalid, format!("{pointer}: {detail}")).with_errors(vec![error])
}
