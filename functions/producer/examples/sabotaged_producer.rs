//! The producer with switches that break one promise each (`SABOTAGE=acks-one`, ...): the scenarios on real brokers show
//! with it that they would notice. Needs the feature `sabotage`, which no package is built with.

#[path = "../src/main.rs"]
mod producer;

fn main() -> std::process::ExitCode {
    producer::main()
}
