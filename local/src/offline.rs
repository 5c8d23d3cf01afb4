//! The commands that need neither brokers nor a function: a configuration and a response are judged.

use std::process::ExitCode;

use anyhow::{Context, Result};
use msk_local::esm::mapping::DestinationTarget;
use msk_local::esm::response_check::check;
use msk_local::esm::validate::{InvalidMapping, Strictness, validate};
use msk_local::output::Format;
use msk_shared::event::MskEvent;
use serde_json::{Value, json};

use crate::cli::{CheckResponseArgs, MappingArgs};
use crate::input;

/// `esm validate`.
pub(crate) fn validate_mapping(format: Format, args: &MappingArgs) -> Result<ExitCode> {
    let strictness = if args.lenient { Strictness::Lenient } else { Strictness::Strict };
    match (validate(&args.document()?, strictness), format) {
        (Ok(mapping), Format::Json) => {
            let destination = match &mapping.destination {
                Some(DestinationTarget::Kafka(topic)) => Some(topic.as_str()),
                _ => None,
            };
            let reports = mapping.failures.report_batch_item_failures.is_some();
            print(json!({
                "valid": true, "function": mapping.function, "topic": mapping.topic.as_str(), "report_batch_item_failures": reports,
                "destination_topic": destination,
                "warnings": mapping.warnings,
            }));
            Ok(ExitCode::SUCCESS)
        }
        (Ok(mapping), Format::Text) => {
            mapping.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
            print(format_args!("valid: `{}` is invoked with records of `{}`", mapping.function, mapping.topic));
            Ok(ExitCode::SUCCESS)
        }
        (Err(InvalidMapping(problems)), Format::Json) => {
            print(json!({"valid": false, "problems": problems}));
            Ok(ExitCode::FAILURE)
        }
        (Err(invalid), Format::Text) => Err(invalid.into()),
    }
}

/// `esm check-response`.
pub(crate) fn check_response(format: Format, args: &CheckResponseArgs) -> Result<ExitCode> {
    let event = input::read(&args.event)?;
    let event = MskEvent::parse(event).with_context(|| format!("{} is not an MSK event", args.event.display()))?;
    let found = check(&event, &input::read(&args.response)?);
    let failed = found.mistake.is_some();
    if format == Format::Json {
        let mut line = json!({"outcome": found.outcome, "records": found.records, "redelivered": found.redelivered});
        for (member, text) in [("mistake", found.mistake), ("warning", found.warning)] {
            line[member] = text.map_or(Value::Null, Value::from);
        }
        print(line);
    } else {
        if let Some(warning) = &found.warning {
            tracing::warn!("{warning}");
        }
        match (&found.mistake, found.redelivered.as_slice()) {
            (Some(mistake), _) => anyhow::bail!("all {} records will be redelivered: {mistake}", found.records),
            (None, []) => print(format_args!("all {} records are done", found.records)),
            (None, ids) => {
                print(format_args!("{} of {} records will be redelivered:", ids.len(), found.records));
                ids.iter().for_each(|id| print(format_args!("  {id}")));
            }
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

#[expect(clippy::print_stdout, reason = "the answer of the command")]
fn print(line: impl std::fmt::Display) {
    println!("{line}");
}
