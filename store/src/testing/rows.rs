//! Rows and keys for tests, made from a few numbers and read back again.

use std::sync::Arc;

use bytes::BytesMut;
use tidegate_catalog::{
    Clock, Deadline, EntityKey, FeatureType, FieldNumber, KeySetNumber, KeyValue, Micros, Monotonic, ProjectNumber,
    RowLayout, ScalarType, Stamp, Value,
};

use crate::Put;

/// A row of one int64 feature; `value: None` is a tombstone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TestRow {
    /// Which entity.
    pub entity: i64,
    /// Which field.
    pub field: u32,
    /// Event time in microseconds.
    pub event: i64,
    /// Created time in microseconds.
    pub created: Option<i64>,
    /// The value; `None` is a tombstone.
    pub value: Option<i64>,
}

impl TestRow {
    /// The put of this row, with the check that belongs to it.
    pub fn put(self) -> Put {
        let key = key(self.entity);
        let field = FieldNumber(self.field);
        let layout = test_layout();
        let check = layout.cell_check(field).of(&key);
        let stamp = Stamp { event: Micros(self.event), created: self.created.map(Micros) };
        let mut row = BytesMut::new();
        match self.value {
            Some(value) => layout.encode(stamp, check, &[Value::Int64(value)], &mut row).expect("one int64 fits"),
            None => RowLayout::encode_tombstone(stamp, check, &mut row),
        }
        Put { key, field, row: row.freeze() }
    }
}

/// The layout of test rows: one int64.
pub fn test_layout() -> RowLayout {
    RowLayout::new(&[FeatureType::Scalar(ScalarType::Int64)])
}

/// The key of entity `id`.
pub fn key(id: i64) -> EntityKey {
    let values = [KeyValue::Int64(id)];
    EntityKey::encode(ProjectNumber(1), KeySetNumber(1), values, &mut BytesMut::new()).expect("an int64 key is short")
}

/// Ten seconds from now by `clock`.
pub fn deadline(clock: &dyn Clock) -> Deadline {
    Deadline::after(clock.monotonic(), std::time::Duration::from_secs(10))
}

/// A clock whose readings never move: for tests whose calls end by the runtime's own timers.
pub fn steady_clock() -> Arc<dyn Clock> {
    #[derive(Debug)]
    struct Steady;
    impl Clock for Steady {
        fn event_now(&self) -> Micros {
            Micros::EPOCH
        }
        fn wall_now(&self) -> Micros {
            Micros::EPOCH
        }
        fn monotonic(&self) -> Monotonic {
            Monotonic::default()
        }
    }
    Arc::new(Steady)
}
