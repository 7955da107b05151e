//! Where each feature lies in a row: computed once per generation.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Check;
use crate::{EntityKey, FeatureType, FieldNumber};

/// Goes into the check: a row of another codec is another layout.
const CODEC_VERSION: u8 = 1;

/// A generation's feature types in declared order, with each one's place in the fixed part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowLayout {
    slots: Box<[Slot]>,
    pub(super) null_bytes: usize,
    pub(super) fixed_bytes: usize,
    seed: u64,
}

/// One feature's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) feature_type: FeatureType,
    pub(super) offset: usize,
}

/// Computes the [`Check`] of a cell: made once per (layout, field number), asked once per key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellCheck {
    seed: u64,
}

impl RowLayout {
    /// The layout of features of these types, in this order.
    pub fn new(types: &[FeatureType]) -> Self {
        let mut offset = 0_usize;
        let slots = types
            .iter()
            .map(|&feature_type| {
                let slot = Slot { feature_type, offset };
                offset = offset.saturating_add(feature_type.slot_bytes());
                slot
            })
            .collect::<Box<[_]>>();
        let mut identity = vec![CODEC_VERSION];
        identity.extend(types.iter().map(|feature_type| feature_type.number()));
        let seed = xxh3_64_with_seed(&identity, 0);
        Self { null_bytes: types.len().div_ceil(8), fixed_bytes: offset, slots, seed }
    }

    /// How many features a row has.
    pub const fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether a row has no features at all.
    pub const fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The type of feature `index`.
    pub fn feature_type(&self, index: usize) -> Option<FeatureType> {
        self.slots.get(index).map(|slot| slot.feature_type)
    }

    /// All types in order.
    pub fn types(&self) -> impl ExactSizeIterator<Item = FeatureType> + '_ {
        self.slots.iter().map(|slot| slot.feature_type)
    }

    /// The check of this layout's rows under `field`.
    pub fn cell_check(&self, field: FieldNumber) -> CellCheck {
        CellCheck { seed: xxh3_64_with_seed(&field.0.to_be_bytes(), self.seed) }
    }

    pub(super) const fn slots(&self) -> &[Slot] {
        &self.slots
    }
}

impl CellCheck {
    /// The check of the cell of `key`.
    /// # Cost
    /// One hash over the key's bytes, no allocation.
    pub fn of(self, key: &EntityKey) -> Check {
        Check::new((xxh3_64_with_seed(key.as_bytes(), self.seed) & 0x7fff) as u16)
    }
}
