//! What the report says of the zips.

use super::*;
use crate::zip_features::{self, ZipFeature};

#[test]
fn a_zip_for_the_other_processor_is_missing() {
    let place = Place::complete();
    place.zip("consumer", 0x3e);
    let report = place.report();
    assert_eq!(missing(&report), ["consumer zip"]);
    assert_says(&report, "built for x86_64, but function_architecture is arm64");

    place.write("infra/terraform.tfvars", format!("{GOOD}function_architecture = \"x86_64\""));
    assert_eq!(missing(&place.report()), ["producer zip"]);
}

#[test]
fn a_zip_that_cannot_do_what_the_settings_need_is_missing() {
    let place = Place::complete();
    let with = |topics: &str, api: &str| {
        place.write("infra/terraform.tfvars", format!("{GOOD}topics = {{ {topics} }}\napi = {{ {api} }}\n"));
        place.report()
    };
    let schema = "orders = { policy = { schema = \"orders.v1\" } }";
    let report = with(schema, "docs_page = true");
    assert_eq!(missing(&report), ["producer zip"], "{report}");
    assert_says(&report, "packaged without schemas and docs-page, which the settings need");
    assert_says(&report, "> cargo xtask package --arm64 --features schemas,docs-page");

    let zip = place.path("target/lambda/producer/bootstrap.zip");
    zip_features::write(&zip, &[ZipFeature::Schemas]).unwrap();
    assert_eq!(missing(&with(schema, "")), Vec::<&str>::new());
    assert_says(&with(schema, "docs_page = true"), "packaged without docs-page, which the settings need");
    // Nobody writes this topic through the producer.
    fs::remove_file(zip.with_extension("json")).unwrap();
    assert_eq!(missing(&with(&schema.replace("policy", "produced = false, policy"), "")), Vec::<&str>::new());
}

#[test]
fn every_consumer_has_its_zip_judged() {
    let place = Place::complete();
    let consumers = "consumers = { consumer = { topics = [\"orders\"] }, payments = {}, audit = { zip = \"../audit.zip\" }, \
                     copy = { zip = \"../target/lambda/consumer/bootstrap.zip\" } }";
    place.write("infra/terraform.tfvars", format!("{GOOD}{consumers}"));
    let report = place.report();
    assert_eq!(missing(&report), ["audit zip", "payments zip"], "{report}");
    assert_says(&report, "missing payments zip target/lambda/payments/bootstrap.zip does not exist");
    assert_says(
        &report,
        "> nothing in functions/ builds it: cargo xtask new-consumer payments, or another zip in consumers",
    );
    assert_says(&report, "missing audit zip audit.zip does not exist");
    assert_says(&report, "ok copy zip 0.0 MB, arm64, newer than the sources");

    place.zip("payments", 0x3e);
    place.write("functions/payments/src/main.rs", "");
    fs::copy(place.path("target/lambda/consumer/bootstrap.zip"), place.path("audit.zip")).unwrap();
    let report = place.report();
    assert_eq!(missing(&report), ["payments zip"], "{report}");
    assert_says(&report, "payments zip built for x86_64, but function_architecture is arm64");
    assert_says(&report, "ok audit zip 0.0 MB, arm64, not built here");

    place.zip("payments", 0xb7);
    assert_eq!(missing(&place.report()), Vec::<&str>::new());
    let later = SystemTime::now() + Duration::from_secs(60);
    let library = fs::File::options().write(true).open(place.path("functions/consumer/src/main.rs")).unwrap();
    library.set_modified(later).unwrap();
    // `copy` is the consumer's own zip; the handler of `payments` is linked with the consumer's library.
    assert_eq!(missing(&place.report()), ["consumer zip", "copy zip", "payments zip"]);

    // Without the entry `consumer` nobody needs its zip.
    fs::remove_file(place.path("target/lambda/consumer/bootstrap.zip")).unwrap();
    place.write("infra/terraform.tfvars", format!("{GOOD}consumers = {{ audit = {{ zip = \"../audit.zip\" }} }}"));
    assert_eq!(missing(&place.report()), Vec::<&str>::new());
}

#[test]
fn a_zip_older_than_a_source_names_that_source() {
    let place = Place::complete();
    let later = SystemTime::now() + Duration::from_secs(60);
    let touch = |file| fs::File::options().write(true).open(place.path(file)).unwrap().set_modified(later).unwrap();
    touch("functions/consumer/src/main.rs");
    assert_says(&place.report(), "missing consumer zip 0.0 MB, arm64, older than functions/consumer/src/main.rs");
    touch("shared/src/lib.rs");
    assert_eq!(missing(&place.report()), ["producer zip", "consumer zip"]);
}

#[test]
fn tests_and_pages_make_no_zip_old() {
    let place = Place::complete();
    for file in ["functions/producer/tests/api.rs", "shared/README.md"] {
        let later = SystemTime::now() + Duration::from_secs(60);
        fs::File::options().write(true).open(place.write(file, "")).unwrap().set_modified(later).unwrap();
    }
    assert_eq!(missing(&place.report()), Vec::<&str>::new());
}

#[test]
fn what_is_no_zip_is_missing() {
    let place = Place::complete();
    place.write("target/lambda/producer/bootstrap.zip", "not a zip");
    let report = place.report();
    assert_eq!(missing(&report), ["producer zip"]);
    assert_says(&report, "is not a zip that contains a file `bootstrap`");
    place.zip("producer", 0x08);
    assert_says(&place.report(), "not a 64-bit Linux program for x86_64 or arm64");
}
