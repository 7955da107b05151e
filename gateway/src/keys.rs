//! Entity keys of a request: per row one key per group of the plan, encoded from the caller's columns.

use bytes::BytesMut;
use tidegate_catalog::{EntityKey, ErrorCode, FeatureType, ProjectNumber};
use tidegate_proto::{
    predict::RowFailure,
    typed::{TimeForm, Typed},
};
use tidegate_store::ReadPlan;

use crate::{
    plan::LookupPlan,
    rows::{Bound, ColumnError, ENTITIES, typed},
};

/// Which rows of a request have keys; the keys themselves stand in the read plan, row after row, group after group.
#[derive(Debug, Default)]
pub(crate) struct RowKeys {
    /// For each row of the request its place among the rows that have keys; `None` for one that failed.
    pub(crate) slots: Vec<Option<u32>>,
    /// How many rows have keys.
    pub(crate) live: usize,
    /// The rows that failed, in order.
    pub(crate) failures: Vec<RowFailure>,
}

/// What keys are made under.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyForm {
    pub(crate) project: ProjectNumber,
    pub(crate) times: TimeForm,
}

/// What a key of a number or a short string takes.
const USUAL_KEY_BYTES: usize = 32;
const MOST_RESERVED_BYTES: usize = 1024 * 1024;

/// Why one row has no key.
#[derive(Debug, thiserror::Error)]
enum KeyFailure {
    #[error("entities.{column} is null, and null is no key")]
    Null { column: String },
    #[error("{0}")]
    Encoding(#[from] tidegate_catalog::entity_key::KeyError),
}

impl RowKeys {
    /// Encodes the keys of `rows` rows and fills `read` with their cells.
    /// # Errors
    /// A value of another type than its column: the request cannot be read. A null or over-long key fails its row alone.
    /// # Cost
    /// Four allocations whatever the number of rows; the keys' bytes go into `buffer` and their list into `read`, which their owner reuses.
    pub(crate) fn encode(
        plan: &LookupPlan,
        bound: &Bound<'_>,
        rows: usize,
        form: KeyForm,
        (read, buffer): (&mut ReadPlan, &mut BytesMut),
    ) -> Result<Self, ColumnError> {
        read.clear();
        // one allocation that all keys share; it is the last call's again, now that its keys are gone
        buffer.reserve((rows * plan.groups.len()).saturating_mul(USUAL_KEY_BYTES).min(MOST_RESERVED_BYTES));
        let mut encoded = Self::default();
        encoded.slots.reserve_exact(rows);
        let (mut keys, mut parts) = (Vec::with_capacity(plan.groups.len()), Vec::new());
        for row in 0..rows {
            keys.clear();
            match row_keys(plan, bound, row, form, (&mut keys, &mut parts, buffer))? {
                Ok(()) => {
                    for (key, group) in keys.drain(..).zip(&plan.groups) {
                        read.push(key, &group.fields);
                    }
                    encoded.slots.push(u32::try_from(encoded.live).ok());
                    encoded.live += 1;
                }
                Err(failure) => {
                    encoded.slots.push(None);
                    let message = failure.to_string();
                    encoded.failures.push(RowFailure { row, code: ErrorCode::InvalidArgument, message });
                }
            }
        }
        Ok(encoded)
    }
}

/// One key per group of the plan; a row keeps all of its keys or none.
fn row_keys<'r>(
    plan: &LookupPlan,
    bound: &Bound<'r>,
    row: usize,
    form: KeyForm,
    (keys, parts, buffer): (&mut Vec<EntityKey>, &mut Vec<Typed<'r>>, &mut BytesMut),
) -> Result<Result<(), KeyFailure>, ColumnError> {
    for group in &plan.groups {
        parts.clear();
        for &at in &group.parts {
            let Some(column) = plan.columns.get(at) else { continue };
            let Some(value) = bound.value(at, row) else {
                return Err(ColumnError::Missing { field: ENTITIES, column: column.name.clone() });
            };
            let wanted = FeatureType::Scalar(column.key_type.scalar());
            let part = typed((ENTITIES, &column.name, row), value, wanted, form.times)?;
            if part == Typed::Null {
                return Ok(Err(KeyFailure::Null { column: column.name.clone() }));
            }
            parts.push(part);
        }
        match EntityKey::encode(form.project, group.key_set, parts.iter().filter_map(Typed::as_key), buffer) {
            Ok(key) => keys.push(key),
            Err(error) => return Ok(Err(error.into())),
        }
    }
    Ok(Ok(()))
}
