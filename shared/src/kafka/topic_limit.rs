//! Asks the cluster for a topic's `max.message.bytes`, so that the refusal of a record can name its limit, and a dead-letter
//! topic that takes less than its source is noticed: on the connections of the client in use, and remembered. It needs `kafka-cluster:DescribeTopicDynamicConfiguration`;
//! without that right the limit stays unknown.
//!
//! The calls are made here because rdkafka's own admin client is a second librdkafka client, with connections of its own,
//! that is never given a token.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_int};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka_sys::bindings as sys;

use super::client::Client;
use crate::names::TopicName;

/// The setting.
const SETTING: &CStr = c"max.message.bytes";
/// How long an answer holds, also that the limit cannot be known: topics are changed within minutes.
const MAX_AGE: Duration = Duration::from_secs(5 * 60);
/// How long a caller's answer waits for it at most.
const LONGEST: Duration = Duration::from_secs(1);

/// The limits that were asked for.
#[derive(Debug, Default)]
pub(super) struct TopicLimits(Mutex<HashMap<TopicName, (Option<usize>, Instant)>>);

impl TopicLimits {
    /// A topic's `max.message.bytes`, if the cluster tells it within `bound`.
    pub(super) async fn max_message_bytes(
        &self,
        client: Arc<Client>,
        topic: &TopicName,
        bound: Duration,
    ) -> Option<usize> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(topic).copied();
        if let Some((limit, at)) = known
            && at.elapsed() < MAX_AGE
        {
            return limit;
        }
        let name = CString::new(topic.as_str()).ok()?;
        // librdkafka's queue blocks.
        let asked = tokio::task::spawn_blocking(move || ask(&client, &name, bound.min(LONGEST)));
        let limit = asked.await.ok().flatten();
        if limit.is_none() {
            tracing::info!(
                topic = topic.as_str(),
                "the topic's max.message.bytes is not known: the cluster did not answer, or this function lacks \
                 kafka-cluster:DescribeTopicDynamicConfiguration"
            );
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.clone(), (limit, Instant::now()));
        limit
    }
}

/// Something of librdkafka's that must be destroyed.
struct Owned<T> {
    pointer: *mut T,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    fn new(pointer: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        (!pointer.is_null()).then_some(Self { pointer, destroy })
    }
}

impl<T> Drop for Owned<T> {
    #[expect(unsafe_code, reason = "librdkafka's objects have destroy functions")]
    fn drop(&mut self) {
        // SAFETY: the pointer is not null, came from the constructor that belongs to `destroy`, and is destroyed once.
        unsafe { (self.destroy)(self.pointer) }
    }
}

/// Blocks for `bound` at most.
#[expect(unsafe_code, reason = "rdkafka wraps DescribeConfigs only for a client of its own, without tokens")]
fn ask(client: &Client, topic: &CStr, bound: Duration) -> Option<usize> {
    let timeout_ms = c_int::try_from(bound.as_millis()).ok()?;
    let native = client.native();
    // SAFETY: `native` lives as long as `client`. Every object is checked for null and destroyed by its `Owned`, in an order
    // that librdkafka allows: what is read below belongs to the event and is read before that is destroyed. A reply that
    // comes after the queue is destroyed is dropped by librdkafka, which counts references to queues.
    unsafe {
        let queue = Owned::new(sys::rd_kafka_queue_new(native), sys::rd_kafka_queue_destroy)?;
        let for_api = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS;
        let options = Owned::new(sys::rd_kafka_AdminOptions_new(native, for_api), sys::rd_kafka_AdminOptions_destroy)?;
        sys::rd_kafka_AdminOptions_set_request_timeout(options.pointer, timeout_ms, std::ptr::null_mut(), 0);
        let of_topic = sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
        let resource = Owned::new(
            sys::rd_kafka_ConfigResource_new(of_topic, topic.as_ptr()),
            sys::rd_kafka_ConfigResource_destroy,
        )?;
        let mut resources = [resource.pointer];
        sys::rd_kafka_DescribeConfigs(native, resources.as_mut_ptr(), 1, options.pointer, queue.pointer);
        let event = sys::rd_kafka_queue_poll(queue.pointer, timeout_ms);
        let event = Owned::new(event, sys::rd_kafka_event_destroy)?;
        setting_in(event.pointer)
    }
}

/// The setting in the reply to a question about one topic.
///
/// # Safety
/// `event` is a valid event.
#[expect(unsafe_code, reason = "reads librdkafka's reply")]
unsafe fn setting_in(event: *mut sys::rd_kafka_event_t) -> Option<usize> {
    // SAFETY: librdkafka gives null for an event of another type, and otherwise arrays with as many valid elements as it
    // counts, which live as long as the event.
    unsafe {
        let result = sys::rd_kafka_event_DescribeConfigs_result(event);
        if result.is_null() {
            return None;
        }
        let mut count = 0;
        let resources = sys::rd_kafka_DescribeConfigs_result_resources(result, &raw mut count);
        if count == 0 || resources.is_null() {
            return None;
        }
        let entries = sys::rd_kafka_ConfigResource_configs(*resources, &raw mut count);
        if entries.is_null() {
            return None;
        }
        (0..count).find_map(|index| {
            let entry = *entries.add(index);
            let (name, value) = (sys::rd_kafka_ConfigEntry_name(entry), sys::rd_kafka_ConfigEntry_value(entry));
            if name.is_null() || value.is_null() || CStr::from_ptr(name) != SETTING {
                return None;
            }
            CStr::from_ptr(value).to_str().ok()?.parse().ok()
        })
    }
}
