//! Events as JSON lines: timestamp, level, the event's fields, target, and the span that it happened in.
//!
//! `tracing-subscriber`'s own JSON has the same members, but parses a span's fields anew for each of its events, and builds maps
//! of what is written once: that was a tenth of a produce request's CPU time. Here a span is serialised when it is entered into
//! the registry, and an event in one pass.

use std::cell::RefCell;
use std::fmt::{self, Write};
use std::time::SystemTime;

use time::OffsetDateTime;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::line_buffer;

/// The layer.
#[derive(Debug)]
pub(super) struct JsonLines;

/// The fields of a span as JSON members, each with a comma after it.
struct SpanMembers(String);

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for JsonLines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut members = String::with_capacity(96);
        attributes.record(&mut Members(&mut members));
        span.extensions_mut().insert(SpanMembers(members));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(SpanMembers(members)) = span.extensions_mut().get_mut() {
            values.record(&mut Members(members));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        thread_local! {
            static LINE: RefCell<String> = const { RefCell::new(String::new()) };
        }
        LINE.with(|line| {
            // A value whose `Debug` logs an event itself: that one has a line of its own.
            let mut own = String::new();
            let mut kept = line.try_borrow_mut();
            let line = kept.as_deref_mut().unwrap_or(&mut own);
            line.clear();
            write_event(line, event, SystemTime::now(), &context);
            line_buffer::write(line.as_bytes(), *event.metadata().level());
        });
    }
}

fn write_event<S>(line: &mut String, event: &Event<'_>, now: SystemTime, context: &Context<'_, S>)
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    line.push_str("{\"timestamp\":\"");
    write_timestamp(line, now);
    line.push_str("\",\"level\":\"");
    line.push_str(level_name(*event.metadata().level()));
    line.push_str("\",");
    event.record(&mut Members(line));
    line.push_str("\"target\":\"");
    escape(line, event.metadata().target());
    line.push('"');
    if let Some(span) = context.event_span(event) {
        line.push_str(",\"span\":{");
        if let Some(SpanMembers(members)) = span.extensions().get() {
            line.push_str(members);
        }
        line.push_str("\"name\":\"");
        escape(line, span.name());
        line.push_str("\"}");
    }
    line.push_str("}\n");
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARN",
        Level::INFO => "INFO",
        Level::DEBUG => "DEBUG",
        Level::TRACE => "TRACE",
    }
}

/// RFC 3339 in UTC, with microseconds.
fn write_timestamp(line: &mut String, now: SystemTime) {
    let now = OffsetDateTime::from(now);
    let year = u32::try_from(now.year()).unwrap_or(0);
    let parts = [
        (year, 4, '-'),
        (u8::from(now.month()).into(), 2, '-'),
        (now.day().into(), 2, 'T'),
        (now.hour().into(), 2, ':'),
        (now.minute().into(), 2, ':'),
        (now.second().into(), 2, '.'),
        (now.microsecond(), 6, 'Z'),
    ];
    for (number, width, end) in parts {
        let digit = |place: u32| char::from(b'0' + (number / 10_u32.pow(place) % 10) as u8);
        line.extend((0..width).rev().map(digit));
        line.push(end);
    }
}

/// Appends fields as JSON members, each with a comma after it.
struct Members<'a>(&'a mut String);

impl Members<'_> {
    fn name(&mut self, field: &Field) {
        self.0.push('"');
        // Raw identifiers keep their prefix.
        escape(self.0, field.name().strip_prefix("r#").unwrap_or(field.name()));
        self.0.push_str("\":");
    }

    fn plain(&mut self, field: &Field, value: impl fmt::Display) {
        self.name(field);
        // Writing into a `String` cannot fail.
        let _ = write!(self.0, "{value},");
    }
}

impl Visit for Members<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no other numbers; `{:?}` keeps a float a float and large ones short.
        if value.is_finite() { self.plain(field, format_args!("{value:?}")) } else { self.plain(field, "null") }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field, value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.plain(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.plain(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field);
        self.0.push('"');
        escape(self.0, value);
        self.0.push_str("\",");
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.name(field);
        self.0.push('"');
        // A `Debug` that fails leaves its text incomplete.
        let _ = write!(Escaped(self.0), "{value:?}");
        self.0.push_str("\",");
    }
}

/// Escapes what is written, for the inside of a JSON string.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape(self.0, text);
        Ok(())
    }
}

/// Appends the inside of a JSON string (RFC 8259, 7): quotes, backslashes and control characters are escaped.
fn escape(out: &mut String, text: &str) {
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate() {
        let short = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => "",
            _ => continue,
        };
        // An escaped byte is a character of its own, so this splits none.
        out.push_str(&text[written..at]);
        written = at + 1;
        out.push_str(short);
        if short.is_empty() {
            let _ = write!(out, "\\u{byte:04x}");
        }
    }
    out.push_str(&text[written..]);
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;
    use serde_json::{Value, json};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// Keeps lines instead of writing them.
    struct Kept(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Kept {
        fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
            let mut line = String::new();
            write_event(&mut line, event, UNIX_EPOCH + Duration::from_micros(1_760_000_000_000_001), &context);
            self.0.lock().unwrap().push(line);
        }
    }

    fn lines(work: impl FnOnce()) -> Vec<Value> {
        let kept = Arc::default();
        let subscriber = tracing_subscriber::registry().with(JsonLines).with(Kept(Arc::clone(&kept)));
        tracing::subscriber::with_default(subscriber, work);
        let lines = kept.lock().unwrap();
        lines.iter().map(|line| serde_json::from_str(line.strip_suffix('\n').unwrap()).unwrap()).collect()
    }

    #[test]
    fn a_line_has_time_level_fields_target_and_the_innermost_span() {
        let lines = lines(|| {
            tracing::warn!(count = 3, ratio = 0.5, whole = 2.0, nan = f64::NAN, yes = true, "before");
            let outer = tracing::info_span!("invocation", request_id = "r-1");
            let _outer = outer.enter();
            let inner =
                tracing::info_span!("record", request_id = "r-1", record = %"t-0@7", later = tracing::field::Empty);
            inner.record("later", "now");
            inner.in_scope(|| tracing::info!("type" = "a\"b", code = ?Some(7), error_code = None::<u32>, "inside"));
        });
        let target = module_path!();
        let at = "2025-10-09T08:53:20.000001Z";
        let before = json!({"timestamp": at, "level": "WARN", "message": "before", "count": 3, "ratio": 0.5, "whole": 2.0,
            "nan": null, "yes": true, "target": target});
        let span = json!({"request_id": "r-1", "record": "t-0@7", "later": "now", "name": "record"});
        let inside = json!({"timestamp": at, "level": "INFO", "message": "inside", "type": "a\"b", "code": "Some(7)",
            "target": target, "span": span});
        // The targets of tests end in the module that they are in.
        assert_eq!(lines, [before, inside]);
    }

    proptest! {
        #[test]
        fn any_text_is_one_json_string_on_one_line(text in any::<String>()) {
            let mut line = String::from("\"");
            escape(&mut line, &text);
            line.push('"');
            let has_control = line.chars().any(|c| c < ' ');
            prop_assert!(!has_control);
            prop_assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
        }
    }
}
