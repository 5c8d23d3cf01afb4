//! The producer with switches that each break one promise (`SABOTAGE=acks-one`, ...): the scenarios on real brokers use it to show
//! that they would notice. Requires the feature `sabotage`, which no packaged binary is built with.

#[path = "../src/main.rs"]
mod producer;

fn main() -> std::process::ExitCode {
    producer::main()
}
