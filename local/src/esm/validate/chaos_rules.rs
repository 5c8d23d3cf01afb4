//! Faults on request: a seed, and percentages with which records still get through.

use super::super::chaos_settings::{ChaosBlock, ChaosFault, ChaosSettings};
use super::Validator;

impl Validator<'_> {
    pub(super) fn chaos(&mut self) -> Option<ChaosSettings> {
        let block = self.document.local.chaos.as_ref().filter(|block| **block != ChaosBlock::default())?;
        let percent = ChaosFault::ALL.map(|fault| {
            let (member, most) = (fault.member(), fault.max_percent());
            self.in_range(member, fault.given(block), fault.default_percent(), &(0.0..=most), " percent")
        });
        let Some(seed) = block.seed else {
            self.error("Local.chaos.seed", "required with the other members of Local.chaos: any number from 0");
            return None;
        };
        let seed = self.range("Local.chaos.seed", Some(seed), 0, 0..=i64::MAX);
        Some(ChaosSettings { seed: seed.unsigned_abs(), percent })
    }
}
