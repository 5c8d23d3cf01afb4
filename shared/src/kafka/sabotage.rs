//! Switches that break one promise each, so that the tests can show that they would notice. They exist only in builds with
//! the cargo feature `sabotage`; every other build has constants that say no.

/// A promise to break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sabotage {
    /// Acknowledgement by the leader alone.
    AcksOne,
    /// Retries without sequence numbers.
    NoIdempotence,
    /// A client that failed is kept.
    NoRebuild,
    /// Requests are accepted and awaited whatever time is left.
    NoAdmission,
}

/// Whether this promise is to be broken: `SABOTAGE` holds its name.
#[cfg(feature = "sabotage")]
pub(super) fn is_on(what: Sabotage) -> bool {
    let name = match what {
        Sabotage::AcksOne => "acks-one",
        Sabotage::NoIdempotence => "no-idempotence",
        Sabotage::NoRebuild => "no-rebuild",
        Sabotage::NoAdmission => "no-admission",
    };
    std::env::var("SABOTAGE").is_ok_and(|text| text.split(',').any(|word| word == name))
}

/// Never.
#[cfg(not(feature = "sabotage"))]
pub(super) const fn is_on(_: Sabotage) -> bool {
    false
}
