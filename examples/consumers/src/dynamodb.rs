//! Calls of DynamoDB's HTTP interface, without AWS's SDK, and values in its form.

use std::sync::Arc;

use bytes::Bytes;
use http::{StatusCode, Uri};
use msk_consumer::Outcome;
use msk_shared::aws::RequestSigner;
use msk_shared::env::EnvReader;
use serde_json::{Map, Value, json};

use crate::http_client::{self, HttpClient, Response};

/// The longest name of an exception that is believed.
const LONGEST_NAME: usize = 64;

/// What DynamoDB answered instead of a result.
#[derive(Debug)]
pub(crate) struct Exception {
    /// Such as `ConditionalCheckFailedException`. AWS's text beside it can hold what the item holds, and is left out.
    pub(crate) name: String,
    /// The item that a condition refused to replace.
    pub(crate) item: Option<Map<String, Value>>,
}

/// Why a call has no result.
#[derive(Debug)]
pub(crate) enum CallError {
    /// DynamoDB was not reached, or the request not signed; what the record's outcome is.
    NotAnswered(Outcome),
    /// DynamoDB refused.
    Refused(Exception),
}

/// DynamoDB in one region.
#[derive(Debug)]
pub(crate) struct DynamoDb {
    endpoint: Uri,
    client: HttpClient,
    signer: Arc<RequestSigner>,
}

impl DynamoDb {
    /// Reads what Lambda sets (`AWS_REGION`, `AWS_ACCESS_KEY_ID` ...), and `APP_DYNAMODB_ENDPOINT` for another address than AWS's.
    pub(crate) fn from_env(env: &mut EnvReader) -> Option<Self> {
        let signer = RequestSigner::from_env(env, "dynamodb");
        let own = env.optional("APP_DYNAMODB_ENDPOINT");
        let region = signer.as_ref().map_or("", RequestSigner::region);
        let text = own.unwrap_or_else(|| regional(region));
        let endpoint = http_client::endpoint(env, "APP_DYNAMODB_ENDPOINT", &text)?;
        let client = HttpClient::from_env(env, &endpoint)?;
        Some(Self { endpoint, client, signer: Arc::new(signer?) })
    }

    /// Calls an operation such as `PutItem`.
    ///
    /// # Errors
    /// [`CallError`]
    pub(crate) async fn call(&self, operation: &str, input: &Value) -> Result<(), CallError> {
        let not_sent = |reason: &'static str| CallError::NotAnswered(Outcome::Retry(reason.into()));
        let request = http::Request::post(&self.endpoint)
            .header("Content-Type", "application/x-amz-json-1.0")
            .header("X-Amz-Target", format!("DynamoDB_20120810.{operation}"))
            .body(Bytes::from(input.to_string()));
        let request = request.map_err(|_| not_sent("APP_DYNAMODB_ENDPOINT cannot be called"))?;
        let signer = Arc::clone(&self.signer);
        // The signer may have to ask for credentials, and the consumer may have just this thread.
        let signed = tokio::task::spawn_blocking(move || signer.sign(request)).await;
        let signed = signed.map_err(|_| not_sent("the request was not signed"))?;
        let signed = signed.map_err(|error| CallError::NotAnswered(Outcome::Retry(error.into())))?;
        let answer = self.client.send(signed).await.map_err(CallError::NotAnswered)?;
        if answer.status() == StatusCode::OK { Ok(()) } else { Err(CallError::Refused(exception(&answer))) }
    }
}

/// Where AWS has the service: <https://docs.aws.amazon.com/general/latest/gr/ddb.html>
fn regional(region: &str) -> String {
    let suffix = match region.split('-').next() {
        Some("cn") => "amazonaws.com.cn",
        Some("eusc") => "amazonaws.eu",
        _ => "amazonaws.com",
    };
    format!("https://dynamodb.{region}.{suffix}")
}

/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>
fn exception(answer: &Response) -> Exception {
    let mut body: Map<String, Value> = serde_json::from_slice(answer.body()).unwrap_or_default();
    let full_name = body.get("__type").and_then(Value::as_str).unwrap_or_default();
    let name = full_name.rsplit('#').next().unwrap_or_default();
    let is_name =
        !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let name = if is_name { name.to_owned() } else { format!("status {}", answer.status().as_u16()) };
    let item = match body.remove("Item") {
        Some(Value::Object(item)) => Some(item),
        _ => None,
    };
    Exception { name, item }
}

/// JSON as an attribute: <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html>
pub(crate) fn attribute(value: Value) -> Value {
    match value {
        Value::Null => json!({"NULL": true}),
        Value::Bool(flag) => json!({"BOOL": flag}),
        Value::Number(number) => json!({"N": number.to_string()}),
        Value::String(text) => json!({"S": text}),
        Value::Array(values) => json!({"L": values.into_iter().map(attribute).collect::<Vec<_>>()}),
        Value::Object(members) => {
            let members: Map<_, _> = members.into_iter().map(|(name, value)| (name, attribute(value))).collect();
            json!({"M": members})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Response {
        http::Response::builder().status(status).body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
    }

    #[test]
    fn an_exception_is_known_by_its_name_and_its_text_is_left_out() {
        let full = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ValidationException","message":"canary"}"#;
        let cases = [
            (400, full, "ValidationException"),
            (400, r#"{"__type":"ThrottlingException"}"#, "ThrottlingException"),
            (503, "<html>", "status 503"),
            (500, r#"{"__type":"a b\ncanary"}"#, "status 500"),
            (500, r#"{"__type":7}"#, "status 500"),
            (400, "[]", "status 400"),
        ];
        for (status, body, expected) in cases {
            let exception = exception(&answer(status, body));
            assert_eq!(exception.name, expected, "{body}");
            assert!(exception.item.is_none());
        }
    }

    #[test]
    fn every_kind_of_json_is_an_attribute() {
        let value = json!({"s": "", "n": -1.5, "b": true, "z": null, "l": [1, {"x": "y"}]});
        assert_eq!(
            attribute(value),
            json!({"M": {"s": {"S": ""}, "n": {"N": "-1.5"}, "b": {"BOOL": true}, "z": {"NULL": true},
                "l": {"L": [{"N": "1"}, {"M": {"x": {"S": "y"}}}]}}})
        );
    }

    #[test]
    fn each_partition_of_aws_has_its_own_suffix() {
        assert_eq!(regional("eu-west-1"), "https://dynamodb.eu-west-1.amazonaws.com");
        assert_eq!(regional("us-gov-west-1"), "https://dynamodb.us-gov-west-1.amazonaws.com");
        assert_eq!(regional("cn-north-1"), "https://dynamodb.cn-north-1.amazonaws.com.cn");
        assert_eq!(regional("eusc-de-east-1"), "https://dynamodb.eusc-de-east-1.amazonaws.eu");
    }
}
