//! Numbers that depend on nothing but their input: the same on every machine and in every version, as no hasher of the standard
//! library promises.

/// A number that looks random: FNV-1a over the parts, each ended by its length, and `MurmurHash3`'s last step, which spreads what
/// the last bytes change.
pub(crate) fn stable_hash(parts: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.iter().copied().chain((part.len() as u64).to_le_bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    for factor in [0xff51_afd7_ed55_8ccd_u64, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}

/// An id in the form of a UUID that two names always give.
pub(super) fn stable_uuid(one: &str, other: &str) -> String {
    let half = |salt: &str| stable_hash(&[salt.as_bytes(), one.as_bytes(), other.as_bytes()]);
    let (high, low) = (half("high"), half("low"));
    format!(
        "{:08x}-{:04x}-8{:03x}-8{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_give_one_id_and_other_names_another() {
        let id = stable_uuid("orders", "consumer");
        assert_eq!(id, stable_uuid("orders", "consumer"));
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        assert_ne!(id, stable_uuid("order", "sconsumer"));
    }

    #[test]
    fn no_version_may_change_a_number() {
        assert_eq!(stable_hash(&[]), 0xefd0_1f60_ba99_2926);
    }
}
