//! The table of stages. A stage is a name, what it does, what it needs, and a function; `cargo xtask test` runs them in
//! the order of the table.

mod arm64;
mod basic;
mod binaries;
mod compiled_once;
mod dist;
mod end_to_end;
mod examples_dynamodb;
mod guides;
pub(crate) mod ha;
mod infra;
mod laptop;
mod library;
mod monitoring;
mod peers;
mod saved_source;
mod schema_registry;
mod trial_consumer;
mod watch;

use anyhow::Result;

use crate::needs::{self, Need};

/// One part of what a change must pass.
#[derive(Debug)]
pub(crate) struct Stage {
    /// The name used on the command line.
    pub(crate) name: &'static str,
    /// One line for `--list` and for the progress line.
    pub(crate) does: &'static str,
    /// What the machine must have. If anything is missing, the stage is skipped, or fails in CI.
    pub(crate) needs: &'static [Need],
    /// Whether it runs only if it is named.
    pub(crate) on_demand: bool,
    /// Whether a run of all starts it and goes on: it gets what processor time the stages after it leave, so nothing in it may
    /// have a deadline.
    pub(crate) beside: bool,
    /// Stages that run beside others and must have ended before.
    pub(crate) after: &'static [&'static str],
    /// Seconds: about twice what it takes on two idle cores in a new clone, including everything it compiles and downloads, because
    /// machines of the same size differ that much. More is a warning; more than twice as much is a failure in CI. The budgets of all
    /// stages that run by default add up to 75 minutes.
    pub(crate) budget: u64,
    /// Does the work. Its output is for the user; an error means that the stage failed.
    pub(crate) run: fn() -> Result<()>,
}

/// Every stage, in the order in which they start: quick ones first, and what computes beside what waits.
pub(crate) const STAGES: &[Stage] = &[
    Stage {
        name: "fmt",
        does: "formatting (cargo fmt --check)",
        needs: &[],
        on_demand: false,
        beside: false,
        after: &[],
        budget: 20,
        run: basic::fmt,
    },
    Stage {
        name: "lint",
        does: "clippy over every target, warnings are errors in CI",
        needs: &[needs::NATIVE_BUILD],
        on_demand: false,
        beside: false,
        after: &[],
        budget: 600,
        run: basic::lint,
    },
    Stage {
        name: "packages",
        does: "every function packaged for this machine; librdkafka and OpenSSL are compiled",
        needs: &[needs::NATIVE_BUILD, needs::PERL, needs::PYTHON_VENV],
        on_demand: false,
        beside: true,
        after: &[],
        budget: 1800,
        run: ha::packages,
    },
    Stage {
        name: "infra",
        does: "Terraform: format, validation, tests with mocked providers, every toggle planned, policies, checkov",
        needs: &[needs::TERRAFORM, needs::PYTHON_VENV],
        on_demand: false,
        beside: true,
        after: &[],
        budget: 2400,
        run: infra::run,
    },
    Stage {
        name: "unit",
        does: "unit and integration tests of every crate but e2e, and the tidy rules",
        needs: &[needs::NATIVE_BUILD, needs::GIT, needs::CURL, needs::PYTHON_VENV],
        on_demand: false,
        beside: false,
        after: &[],
        budget: 800,
        run: basic::unit,
    },
    Stage {
        name: "contract",
        does: "2,000 requests that Schemathesis makes up from docs/openapi.json; JSON-Schema-Test-Suite",
        needs: &[needs::NATIVE_BUILD, needs::PYTHON_VENV],
        on_demand: false,
        beside: false,
        after: &[],
        budget: 240,
        run: peers::contract,
    },
    Stage {
        name: "rig",
        does: "the rig's own tests: real brokers, proxy, token verifier, history checker; then `up --kafka real`",
        needs: &[needs::NATIVE_BUILD, needs::CURL, needs::PYTHON_VENV, needs::JAVA, needs::MAVEN],
        on_demand: false,
        beside: false,
        after: &[],
        budget: 420,
        run: basic::rig,
    },
    Stage {
        name: "e2e",
        does: "the packaged functions, end to end through cargo lambda watch and the embedded brokers",
        needs: &[needs::NATIVE_BUILD, needs::CURL, needs::PYTHON_VENV],
        on_demand: false,
        beside: false,
        after: &["packages"],
        budget: 420,
        run: end_to_end::run,
    },
    Stage {
        name: "ha",
        does: "the functions on real Kafka while brokers die, networks fail and functions freeze",
        needs: &[needs::NATIVE_BUILD, needs::PERL, needs::PYTHON_VENV, needs::JAVA, needs::MAVEN],
        on_demand: false,
        beside: false,
        after: &["packages"],
        budget: 1000,
        run: ha::fast,
    },
    Stage {
        name: "sabotage",
        does: "with a promise broken, the scenario that tests it fails",
        needs: &[needs::NATIVE_BUILD, needs::PERL, needs::PYTHON_VENV, needs::JAVA, needs::MAVEN],
        on_demand: false,
        beside: false,
        after: &["packages"],
        budget: 240,
        run: ha::sabotage,
    },
    Stage {
        name: "infra-mutations",
        does: "the Terraform configuration broken in one way after another: each must break its test",
        needs: &[needs::TERRAFORM, needs::PYTHON_VENV],
        on_demand: true,
        beside: false,
        after: &[],
        budget: 600,
        run: infra::mutations,
    },
    Stage {
        name: "guides",
        does: "every aws command of the documentation, against AWS's own service models; AWS is not called",
        needs: &[needs::PYTHON_VENV],
        on_demand: false,
        beside: false,
        after: &[],
        budget: 60,
        run: guides::run,
    },
    Stage {
        name: "deny",
        does: "licences, bans and sources of every dependency (cargo deny)",
        needs: &[needs::PYTHON_VENV],
        on_demand: false,
        beside: false,
        after: &[],
        budget: 60,
        run: basic::deny,
    },
    Stage {
        name: "chaos",
        does: "emulator and consumer with faults and kills: 50,000 records with each of ten seeds; memory over ten minutes; records a second",
        needs: &[needs::NATIVE_BUILD],
        on_demand: true,
        beside: false,
        after: &[],
        budget: 6000,
        run: basic::chaos,
    },
    Stage {
        name: "arm64",
        does: "the functions packaged for arm64 answer invocations, under qemu on another processor",
        needs: &[needs::NATIVE_BUILD, needs::PERL, needs::PYTHON_VENV, needs::QEMU],
        on_demand: true,
        beside: false,
        after: &[],
        budget: 1200,
        run: arm64::run,
    },
    Stage {
        name: "examples-dynamodb",
        does: "the example dynamodb-writer on DynamoDB Local: redelivery, reordering, a kill in the middle, poison",
        needs: &[needs::NATIVE_BUILD, needs::JAVA, needs::MAVEN],
        on_demand: true,
        beside: false,
        after: &[],
        budget: 700,
        run: examples_dynamodb::run,
    },
    Stage {
        name: "schema-registry",
        does: "the emulator's SchemaRegistryConfig on Apicurio's registry: Avro that Java wrote, JSON Schema, references, a hang",
        needs: &[needs::NATIVE_BUILD, needs::JAVA, needs::MAVEN],
        on_demand: true,
        beside: false,
        after: &[],
        budget: 700,
        run: schema_registry::run,
    },
    Stage {
        name: "library",
        does: "msk-shared and msk-consumer can be published and are documented, and a crate outside writes a consumer with them",
        needs: &[needs::NATIVE_BUILD],
        on_demand: true,
        beside: false,
        after: &[],
        budget: 900,
        run: library::run,
    },
    Stage {
        name: "monitoring",
        does: "every Prometheus panel, rule and alert against live brokers",
        needs: &[needs::NATIVE_BUILD, needs::PYTHON_VENV, needs::JAVA, needs::MAVEN, needs::PROMETHEUS],
        on_demand: true,
        beside: false,
        after: &[],
        budget: 600,
        run: monitoring::run,
    },
    Stage {
        name: "contract-full",
        does: "10,000 requests that Schemathesis makes up from docs/openapi.json",
        needs: &[needs::NATIVE_BUILD, needs::PYTHON_VENV],
        on_demand: true,
        beside: false,
        after: &[],
        budget: 1800,
        run: peers::contract_full,
    },
    Stage {
        name: "docs-page",
        does: "the page GET /docs in a browser: it shows every operation and asks no other site",
        needs: &[needs::NATIVE_BUILD, needs::CHROMIUM],
        on_demand: true,
        beside: false,
        after: &[],
        budget: 900,
        run: peers::docs_page,
    },
    Stage {
        name: "peers",
        does: "clients that others have published against `producer --http` and the embedded brokers, functions in Python, Node.js and Go \
               behind `msk-local`, sample events of packages",
        needs: &[needs::NATIVE_BUILD, needs::PYTHON_VENV, needs::NODE, needs::GO, needs::JAVA, needs::MAVEN],
        on_demand: true,
        beside: false,
        after: &[],
        budget: 900,
        run: peers::peers,
    },
    Stage {
        name: "dist",
        does: "the wheel of msk-local, installed by pip without Rust, drains a topic into a function in Python",
        needs: &[needs::NATIVE_BUILD, needs::PERL, needs::PYTHON_VENV],
        on_demand: true,
        beside: false,
        after: &[],
        budget: 2400,
        run: dist::run,
    },
];
